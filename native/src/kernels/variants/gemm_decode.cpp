// ggml's quantised blocks -> 8-bit values, int8_offset added, and scales of 32 values each. The
// formats are those of ggml-common.h; a file's blocks lie at any even address.
#include "kernels/variants/gemm_parts.h"

#include "ggml.h"

namespace ltx2::kernels::LTX2_VARIANT {

static inline float half_at(const uint8_t * p) {
    uint16_t half;
    std::memcpy(&half, p, sizeof half);
#if defined(__AVX2__)
    return _cvtsh_ss(half);
#elif defined(__aarch64__)
    __fp16 value;
    std::memcpy(&value, &half, sizeof value);
    return value;
#else
    uint16_t some[lanes] = {half};
    return load_f16(some)[0];
#endif
}

typedef uint8_t Bytes __attribute__((vector_size(16)));

constexpr uint8_t offset = int8_offset;

static inline Bytes bytes_at(const uint8_t * p) {
    Bytes v;
    std::memcpy(&v, p, sizeof v);
    return v;
}
static inline void put(uint8_t * p, Bytes v) { std::memcpy(p, &v, sizeof v); }

// d, 32 bytes
static void q8_0(const uint8_t * row, int64_t first, int64_t count, uint8_t * values,
                 float * scales, float *) {
    const uint8_t * block = row + first / 32 * 34;
    for (int64_t b = 0; b < count / 32; ++b, block += 34, values += 32) {
        scales[b] = half_at(block);
        for (int i = 0; i < 32; i += 16)
            put(values + i, bytes_at(block + 2 + i) + offset);
    }
}

// d, 16 bytes: the first sixteen values in the low halves
static void q4_0(const uint8_t * row, int64_t first, int64_t count, uint8_t * values,
                 float * scales, float * minima) {
    const uint8_t * block = row + first / 32 * 18;
    constexpr uint8_t zero = unsigned_small ? 0 : static_cast<uint8_t>(int8_offset - 8);
    for (int64_t b = 0; b < count / 32; ++b, block += 18, values += 32) {
        scales[b] = half_at(block);
        if (unsigned_small)
            minima[b] = -8 * scales[b];
        const Bytes pairs = bytes_at(block + 2);
        put(values, (pairs & 15) + zero);
        put(values + 16, (pairs >> 4) + zero);
    }
}

// d, m, the fifth bits of 32 values, 16 bytes as in q4_0
static void q5_1(const uint8_t * row, int64_t first, int64_t count, uint8_t * values,
                 float * scales, float * minima) {
    const uint8_t * block = row + first / 32 * 24;
    for (int64_t b = 0; b < count / 32; ++b, block += 24, values += 32) {
        scales[b] = half_at(block);
        minima[b] = half_at(block + 2);
        uint32_t fifth;
        std::memcpy(&fifth, block + 4, sizeof fifth);
        for (int i = 0; i < 16; ++i) {
            const int low = static_cast<int>(fifth >> i & 1) << 4;
            const int high = static_cast<int>(fifth >> (i + 16) & 1) << 4;
            values[i] = static_cast<uint8_t>((block[8 + i] & 15) + low + offset);
            values[16 + i] = static_cast<uint8_t>((block[8 + i] >> 4) + high + offset);
        }
    }
}

// Scale and minimum of part j of 8, six bits each, from a K-block's 12 bytes.
static inline void k_scale(const uint8_t * q, int j, int & scale, int & minimum) {
    if (j < 4) {
        scale = q[j] & 63;
        minimum = q[j + 4] & 63;
    } else {
        scale = (q[j + 4] & 15) | (q[j - 4] >> 6) << 4;
        minimum = (q[j + 4] >> 4) | (q[j] >> 6) << 4;
    }
}

// Parts of 32 values, eight a block: d, dmin, 12 bytes of scales, with Fifth 32 bytes of fifth bits
// (bit j for part j), 128 bytes: of 64 values the first half in the low halves.
template <bool Fifth>
static void k_quants(const uint8_t * row, int64_t first, int64_t count, uint8_t * values,
                     float * scales, float * minima) {
    constexpr int64_t bytes = Fifth ? 176 : 144;
    for (int64_t part = first / 32; part < (first + count) / 32; ++part, values += 32) {
        const uint8_t * block = row + part / 8 * bytes;
        const int j = static_cast<int>(part % 8);
        int scale, minimum;
        k_scale(block + 4, j, scale, minimum);
        *scales++ = half_at(block) * static_cast<float>(scale);
        *minima++ = -half_at(block + 2) * static_cast<float>(minimum);
        const uint8_t * q = block + bytes - 128 + j / 2 * 32;
        for (int i = 0; i < 32; i += 16) {
            Bytes value = (bytes_at(q + i) >> (j % 2 * 4)) & 15;
            if (Fifth)
                value += ((bytes_at(block + 16 + i) >> j) & 1) << 4;
            put(values + i, value + offset);
        }
    }
}

Decoder decoder(int ggml_type) {
    switch (ggml_type) {
    case GGML_TYPE_Q8_0:
        return {q8_0, 8, false};
    case GGML_TYPE_Q4_0:
        return {q4_0, 4, unsigned_small};
    case GGML_TYPE_Q5_1:
        return {q5_1, 5, true};
    case GGML_TYPE_Q4_K:
        return {k_quants<false>, 4, true};
    case GGML_TYPE_Q5_K:
        return {k_quants<true>, 5, true};
    default:
        return {nullptr, 0, false};
    }
}

} // namespace ltx2::kernels::LTX2_VARIANT
