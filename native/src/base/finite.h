// Whether values are finite.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

namespace ltx2 {

// The bits of the largest magnitude; those of infinity and, above them, of NaN begin at `infinite`.
inline uint32_t largest_magnitude(const float * values, size_t count) {
    uint32_t largest = 0; // positive numbers are ordered as their bits are
    for (size_t i = 0; i < count; ++i) {
        uint32_t bits;
        std::memcpy(&bits, values + i, sizeof bits);
        bits &= 0x7FFFFFFF;
        largest = bits > largest ? bits : largest;
    }
    return largest;
}
inline constexpr uint32_t infinite = 0x7F800000;
inline constexpr uint32_t largest_f16 = 0x477FE000; // 65504

inline bool all_finite(const float * values, size_t count) {
    return largest_magnitude(values, count) < infinite;
}
inline bool all_finite(const std::vector<float> & values) {
    return all_finite(values.data(), values.size());
}

} // namespace ltx2
