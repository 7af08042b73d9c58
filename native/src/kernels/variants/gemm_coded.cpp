// ComfyUI's codes -> F32, or 8-bit values with int8_offset added. files/coding.cpp has the rules.
#include "kernels/variants/gemm_parts.h"

namespace ltx2::kernels::LTX2_VARIANT {

namespace {
constexpr int some = sizeof(Bytes); // values at once
typedef uint16_t Halves __attribute__((vector_size(2 * some)));
} // namespace

// Two columns a byte, the even one in the low half, or in the high one.
static inline Bytes nibbles_at(const uint8_t * p, bool high_first) {
    uint8_t out[some];
    for (int i = 0; i < some / 2; ++i) {
        out[2 * i] = high_first ? p[i] >> 4 : p[i] & 15;
        out[2 * i + 1] = high_first ? p[i] & 15 : p[i] >> 4;
    }
    return bytes_at(out);
}

// ---- numbers of 8 bits and less as F16, which the processor converts, subnormals too

// Vectors wider than the processor's are passed by reference: by value they would need its ABI.
static inline void put(const Halves & halves, float factor, float scale, float * out) {
    uint16_t memory[some];
    std::memcpy(memory, &halves, sizeof memory);
    for (int i = 0; i < some; i += lanes)
        store(out + i, load_f16(memory + i) * factor * scale);
}

static inline void put_e4m3(const uint8_t * codes, float scale, float * out) {
    const Halves v = __builtin_convertvector(bytes_at(codes), Halves), low = v & 0x7f;
    const Halves nan = (Halves)(low == 0x7f) & 0x7c00;
    put((v & 0x80) << 8 | low << 7 | nan, 256.0f, scale, out);
}

static inline void put_e5m2(const uint8_t * codes, float * out) {
    put(__builtin_convertvector(bytes_at(codes), Halves) << 8, 1.0f, 1.0f, out);
}

static inline void put_e2m1(const uint8_t * codes, float scale, float * out) {
    const Halves v = __builtin_convertvector(nibbles_at(codes, true), Halves);
    put((v & 8) << 12 | (v & 7) << 9, 16384.0f, scale, out);
}

void coded_values(const CodedPart & p, float * out) {
    for (int64_t i = 0; i < p.count; i += some) {
        const int64_t at = p.first + i;
        const float scale = p.scales ? p.scales[at / p.group - p.first / p.group] : 1.0f;
        if (p.format == Format::e5m2)
            put_e5m2(p.row + at, out + i);
        else if (p.format == Format::nvfp4)
            put_e2m1(p.row + at / 2, scale, out + i);
        else
            put_e4m3(p.row + at, scale, out + i);
    }
}

// ---- whole numbers

// Sixteen numbers times `scale`, rounded. NaN becomes a number: the caller knows of the scale.
static inline Bytes rounded_bytes(const float * x, float scale) {
    uint8_t out[some];
    for (int i = 0; i < some; i += lanes) {
        typedef int8_t Part __attribute__((vector_size(lanes)));
        const Vec v = max(min(load(x + i) * scale, splat(127)), splat(-127));
        const Part part = __builtin_convertvector(__builtin_convertvector(rounded(v), IVec), Part);
        std::memcpy(out + i, &part, sizeof part);
    }
    return bytes_at(out) + static_cast<uint8_t>(int8_offset);
}

// What the sixteen codes of a group stand for is computed once for sixteen values.
static void w4a8_bytes(const CodedPart & p, uint8_t * out) {
    for (int64_t i = 0; i < p.count;) {
        const int64_t at = p.first + i, group = at / p.group;
        const Bytes table = rounded_bytes(p.levels, p.scales[group - p.first / p.group]);
        const int64_t end = (group + 1) * p.group - p.first; // or in the middle of the last one
        const int64_t last = end < p.count ? end : p.count;
        for (; i + some <= last; i += some) {
            const Bytes v = looked_up(table, nibbles_at(p.row + (p.first + i) / 2, false));
            std::memcpy(out + i, &v, sizeof v);
        }
        for (; i < last; ++i)
            out[i] = table[p.row[(p.first + i) / 2] >> (i % 2 * 4) & 15];
    }
}

static void w6a8_bytes(const CodedPart & p, uint8_t * out) {
    for (int64_t i = 0; i < p.count; i += some) {
        const int64_t at = p.first + i, group = at / p.group;
        const uint8_t * high = p.row + p.columns / 2 + at / 4;
        const Bytes low = nibbles_at(p.row + at / 2, false);
        float levels[some];
        for (int j = 0; j < some; ++j)
            levels[j] = static_cast<float>((low[j] | (high[j / 4] >> (j % 4 * 2) & 3) << 4) - 32);
        const Bytes v = rounded_bytes(levels, p.scales[group - p.first / p.group]);
        std::memcpy(out + i, &v, sizeof v);
    }
}

void coded_bytes(const CodedPart & p, uint8_t * out) {
    if (p.format == Format::w4a8)
        return w4a8_bytes(p, out);
    if (p.format == Format::w6a8)
        return w6a8_bytes(p, out);
    constexpr uint8_t offset = int8_offset;
    for (int64_t i = 0; i < p.count; i += some) {
        const int64_t at = p.first + i;
        Bytes v;
        if (p.format == Format::int8)
            v = bytes_at(p.row + at) + offset;
        else // unsigned_small: 8 too large, which the minimum takes off
            v = (nibbles_at(p.row + at / 2, false) ^ 8) - (unsigned_small ? 0 : 8) + offset;
        std::memcpy(out + i, &v, sizeof v);
    }
}

int coded_bits(Format format) { return format == Format::int4 ? 4 : 8; }
float coded_minimum(Format format) { return unsigned_small && format == Format::int4 ? -8 : 0; }

} // namespace ltx2::kernels::LTX2_VARIANT
