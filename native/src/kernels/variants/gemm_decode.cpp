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

constexpr uint8_t offset = int8_offset;

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

// Bit i of the two bytes as the fifth bit of value i.
static inline Bytes fifth_bits(const uint8_t * p) {
    const Bytes bit = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    const uint8_t a = p[0], b = p[1];
    const Bytes bytes = {a, a, a, a, a, a, a, a, b, b, b, b, b, b, b, b};
    return (Bytes)((bytes & bit) != 0) & 16;
}

// d, with Minimum m, with Fifth the fifth bits of 32 values, 16 bytes: the first sixteen values in
// the low halves. Without a minimum zero is in the middle.
template <bool Fifth, bool Minimum>
static void nibbles(const uint8_t * row, int64_t first, int64_t count, uint8_t * values,
                    float * scales, float * minima) {
    constexpr int head = Minimum ? 4 : 2, bytes = head + (Fifth ? 20 : 16);
    constexpr int middle = Fifth ? 16 : 8;
    constexpr auto zero =
        static_cast<uint8_t>(int8_offset - (Minimum || unsigned_small ? 0 : middle));
    const uint8_t * block = row + first / 32 * bytes;
    for (int64_t b = 0; b < count / 32; ++b, block += bytes, values += 32) {
        scales[b] = half_at(block);
        if (Minimum)
            minima[b] = half_at(block + 2);
        else if (unsigned_small)
            minima[b] = -middle * scales[b];
        const Bytes pairs = bytes_at(block + bytes - 16);
        Bytes low = pairs & 15, high = pairs >> 4;
        if (Fifth) {
            low |= fifth_bits(block + head);
            high |= fifth_bits(block + head + 2);
        }
        put(values, low + zero);
        put(values + 16, high + zero);
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

static inline void put_looked_up(const int8_t (&table)[16], const uint8_t * from, uint8_t * to,
                                 uint8_t zero = offset) {
    const Bytes pairs = bytes_at(from), values = bytes_at(table);
    put(to, looked_up(values, pairs & 15) + zero);
    put(to + 16, looked_up(values, pairs >> 4) + zero);
}

constexpr int8_t iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                   1,    13,   25,  38,  53,  69,  89,  113};

// d, 16 bytes as in Q4_0
static void iq4_nl(const uint8_t * row, int64_t first, int64_t count, uint8_t * values,
                   float * scales, float *) {
    const uint8_t * block = row + first / 32 * 18;
    for (int64_t b = 0; b < count / 32; ++b, block += 18, values += 32) {
        scales[b] = half_at(block);
        put_looked_up(iq4_values, block + 2, values);
    }
}

// Eight parts a block: d, 2 bytes and 4 with the upper two and the lower four bits of their scales,
// 16 bytes each.
static void iq4_xs(const uint8_t * row, int64_t first, int64_t count, uint8_t * values,
                   float * scales, float *) {
    for (int64_t part = first / 32; part < (first + count) / 32; ++part, values += 32) {
        const uint8_t * block = row + part / 8 * 136;
        const int j = static_cast<int>(part % 8);
        const int low = block[4 + j / 2] >> (j % 2 * 4) & 15;
        const int high = block[2 + j / 4] >> (j % 4 * 2) & 3;
        *scales++ = half_at(block) * static_cast<float>((low | high << 4) - 32);
        put_looked_up(iq4_values, block + 8 + j * 16, values);
    }
}

// An exponent, 16 bytes as in Q4_0; the values are twice those of E2M1.
static void mxfp4(const uint8_t * row, int64_t first, int64_t count, uint8_t * values,
                  float * scales, float * minima) {
    constexpr int8_t table[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
    const uint8_t * block = row + first / 32 * 17;
    for (int64_t b = 0; b < count / 32; ++b, block += 17, values += 32) {
        const uint32_t e = block[0], half = e < 2 ? 0x00200000u << e : (e - 1) << 23;
        std::memcpy(&scales[b], &half, sizeof half);
        if (unsigned_small)
            minima[b] = -12 * scales[b];
        put_looked_up(table, block + 1, values, unsigned_small ? 12 : offset);
    }
}

Decoder decoder(int ggml_type) {
    switch (ggml_type) {
    case GGML_TYPE_Q8_0:
        return {q8_0, 8, false};
    case GGML_TYPE_Q4_0:
        return {nibbles<false, false>, 4, unsigned_small};
    case GGML_TYPE_Q4_1:
        return {nibbles<false, true>, 4, true};
    case GGML_TYPE_Q5_0:
        return {nibbles<true, false>, 5, unsigned_small};
    case GGML_TYPE_Q5_1:
        return {nibbles<true, true>, 5, true};
    case GGML_TYPE_Q4_K:
        return {k_quants<false>, 4, true};
    case GGML_TYPE_Q5_K:
        return {k_quants<true>, 5, true};
    case GGML_TYPE_IQ4_NL:
        return {iq4_nl, 8, false};
    case GGML_TYPE_IQ4_XS:
        return {iq4_xs, 8, false};
    case GGML_TYPE_MXFP4:
        return {mxfp4, 5, unsigned_small};
    default:
        return {nullptr, 8, false};
    }
}

} // namespace ltx2::kernels::LTX2_VARIANT
