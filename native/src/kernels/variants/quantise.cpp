#include "kernels/quantise.h"

#include "kernels/simd.h"

#include "ggml.h"

// The search for the best scale of a block takes nearly all of the time: ggml tries some twenty
// scales on one block after the other. Here each lane of a vector has a block of its own, so the
// sums are added up in ggml's order, and no multiply-add is fused: the values are ggml's.
namespace ltx2::kernels::LTX2_VARIANT {

static inline float rounded(float x) { return (x + rounder) - rounder; }
static inline Vec pick(IVec mask, Vec yes, Vec no) {
    return (Vec)(((IVec)yes & mask) | ((IVec)no & ~mask));
}
static inline Vec clamp(Vec x, float low, float high) {
    return max(splat(low), min(splat(high), x));
}
static inline float clamp(float x, float low, float high) {
    return x < low ? low : x > high ? high : x;
}
static inline Vec absolute(Vec x) { return (Vec)magnitude(x); }

static inline uint16_t to_f16(float x) {
#if defined(__AVX2__)
    return static_cast<uint16_t>(_cvtss_sh(x, 0));
#else
    return ggml_fp32_to_fp16(x);
#endif
}
static inline float from_f16(uint16_t x) {
#if defined(__AVX2__)
    return _cvtsh_ss(x);
#else
    return ggml_fp16_to_fp32(x);
#endif
}

// `count` blocks of Size values, at most as many as there are lanes -> a block a lane.
template <int Size>
static inline void turn(const float * x, int count, Vec * out) {
    float values[Size][lanes] = {};
    for (int b = 0; b < count; ++b)
        for (int i = 0; i < Size; ++i)
            values[i][b] = x[b * Size + i];
    std::memcpy(out, values, sizeof values);
}

// ---- scale * level + min, levels 0..most: Q4_K, Q5_K

struct Affine {
    Vec scale, min; // min as it is stored, negated
};

// Of blocks of 32, the pair with the least weighted error among `steps` + 1 first guesses.
static Affine search_affine(const Vec * x, float most, float first, int steps) {
    Vec squares = {}, weight[32], low = x[0], high = x[0];
    for (int i = 0; i < 32; ++i)
        squares += x[i] * x[i];
    Vec root;
    for (int l = 0; l < lanes; ++l)
        root[l] = __builtin_sqrtf(squares[l] / 32);
    for (int i = 0; i < 32; ++i)
        weight[i] = root + absolute(x[i]);
    Vec sum_w = weight[0], sum_x = weight[0] * x[0];
    for (int i = 1; i < 32; ++i) {
        low = pick(x[i] < low, x[i], low);
        high = pick(x[i] > high, x[i], high);
        sum_w += weight[i];
        sum_x += weight[i] * x[i];
    }
    low = pick(low > Vec{}, Vec{}, low);
    const IVec flat = high == low;
    high = pick(flat, low + 1.0f, high);

    Vec factor = most / (high - low), scale = 1.0f / factor, min = low, least = {};
    for (int i = 0; i < 32; ++i) {
        const Vec level = clamp(rounded(factor * (x[i] - low)), 0, most);
        const Vec error = scale * level + low - x[i];
        least += weight[i] * (error * error);
    }
    for (int step = 0; step <= steps; ++step) {
        // From the best minimum so far, as ggml does.
        factor = (first + 0.1f * static_cast<float>(step) + most) / (high - min);
        Vec level[32], sum_l = {}, sum_ll = {}, sum_lx = {};
        for (int i = 0; i < 32; ++i) {
            level[i] = clamp(rounded(factor * (x[i] - min)), 0, most);
            const Vec weighted = weight[i] * level[i];
            sum_l += weighted;
            sum_ll += weighted * level[i];
            sum_lx += weighted * x[i];
        }
        const Vec d = sum_w * sum_ll - sum_l * sum_l;
        Vec s = (sum_w * sum_lx - sum_x * sum_l) / d, m = (sum_ll * sum_x - sum_l * sum_lx) / d;
        const IVec above = m > Vec{};
        s = pick(above, sum_lx / sum_ll, s);
        m = pick(above, Vec{}, m);
        Vec total = {};
        for (int i = 0; i < 32; ++i) {
            const Vec error = s * level[i] + m - x[i];
            total += weight[i] * (error * error);
        }
        const IVec better = (d > Vec{}) & (total < least);
        least = pick(better, total, least);
        scale = pick(better, s, scale);
        min = pick(better, m, min);
    }
    return {pick(flat, Vec{}, scale), -pick(flat, low, min)};
}

// A super-block's scales and minima in 6 bits each, as Q4_K and Q5_K pack them.
static void pack_scales(const uint8_t * scales, const uint8_t * mins, uint8_t * out) {
    for (int j = 0; j < 4; ++j) {
        out[j] = static_cast<uint8_t>(scales[j] | (scales[j + 4] >> 4 << 6));
        out[j + 4] = static_cast<uint8_t>(mins[j] | (mins[j + 4] >> 4 << 6));
        out[j + 8] = static_cast<uint8_t>((scales[j + 4] & 15) | (mins[j + 4] << 4));
    }
}

// The 256 levels of a super-block whose 8 scales and minima were searched; writes its first 16
// bytes.
static void levels_affine(const float * x, const float * scale, const float * min, float most,
                          uint8_t * head, uint8_t * levels) {
    float largest[2] = {};
    for (int j = 0; j < 8; ++j) {
        largest[0] = scale[j] > largest[0] ? scale[j] : largest[0];
        largest[1] = min[j] > largest[1] ? min[j] : largest[1];
    }
    const float inverse[2] = {largest[0] > 0 ? 63 / largest[0] : 0,
                              largest[1] > 0 ? 63 / largest[1] : 0};
    const uint16_t d[2] = {to_f16(largest[0] / 63), to_f16(largest[1] / 63)};
    uint8_t scales[8], mins[8];
    for (int j = 0; j < 8; ++j) {
        scales[j] = static_cast<uint8_t>(clamp(rounded(inverse[0] * scale[j]), 0, 63));
        mins[j] = static_cast<uint8_t>(clamp(rounded(inverse[1] * min[j]), 0, 63));
        const float factor = from_f16(d[0]) * scales[j], added = from_f16(d[1]) * mins[j];
        for (int i = 0; i < 32; ++i)
            levels[32 * j + i] = static_cast<uint8_t>(
                factor != 0 ? clamp(rounded((x[32 * j + i] + added) / factor), 0, most) : 0);
    }
    std::memcpy(head, d, sizeof d);
    pack_scales(scales, mins, head + 4);
}

// Both types: Size bytes a super-block, pack(levels, bytes after the head)
template <int Size, class Pack>
static void affine(const float * x, void * out, int64_t n, float most, float first, int steps,
                   const Pack & pack) {
    uint8_t * bytes = static_cast<uint8_t *>(out);
    for (int64_t at = 0; at < n; at += 512) {
        float scale[16], min[16];
        const int blocks = n - at < 512 ? 8 : 16;
        for (int b = 0; b < blocks; b += lanes) {
            const int some = blocks - b < lanes ? blocks - b : lanes;
            Vec turned[32];
            turn<32>(x + at + 32 * b, some, turned);
            const Affine best = search_affine(turned, most, first, steps);
            for (int l = 0; l < some; ++l) {
                scale[b + l] = best.scale[l];
                min[b + l] = best.min[l];
            }
        }
        for (int b = 0; b < blocks; b += 8, bytes += Size) {
            uint8_t levels[256];
            levels_affine(x + at + 32 * b, scale + b, min + b, most, bytes, levels);
            pack(levels, bytes + 16);
        }
    }
}

static void pack_nibbles(const uint8_t * levels, uint8_t * out) {
    for (int j = 0; j < 4; ++j)
        for (int i = 0; i < 32; ++i)
            out[32 * j + i] =
                static_cast<uint8_t>((levels[64 * j + i] & 15) | (levels[64 * j + 32 + i] << 4));
}

static void q4_k(const float * x, void * out, int64_t n) {
    affine<144>(x, out, n, 15, -1, 20, pack_nibbles);
}

static void q5_k(const float * x, void * out, int64_t n) {
    affine<176>(x, out, n, 31, -0.5f, 15, [](const uint8_t * levels, uint8_t * to) {
        for (int i = 0; i < 32; ++i) {
            int high = 0;
            for (int j = 0; j < 8; ++j)
                high |= levels[32 * j + i] >> 4 << j;
            to[i] = static_cast<uint8_t>(high);
        }
        pack_nibbles(levels, to + 32);
    });
}

// ---- scale * level, levels -32..31: Q6_K

static constexpr float tiny = 1e-15f; // ggml takes less for zero

// Of blocks of 16.
static Vec search_scale(const Vec * x) {
    Vec high = {}, largest = {};
    for (int i = 0; i < 16; ++i) {
        const Vec a = absolute(x[i]);
        const IVec more = a > high;
        high = pick(more, a, high);
        largest = pick(more, x[i], largest);
    }
    const IVec zero = high < splat(tiny);
    largest = pick(zero, splat(1), largest);
    Vec scale = {}, best = {};
    for (int step = 0; step <= 18; ++step) {
        // 0 first, then -9 to 9 without it
        const int tenths = step == 0 ? 0 : step <= 9 ? step - 10 : step - 9;
        const Vec factor = -(32 + 0.1f * static_cast<float>(tenths)) / largest;
        Vec sum_lx = {}, sum_ll = {};
        for (int i = 0; i < 16; ++i) {
            const Vec level = clamp(rounded(factor * x[i]), -32, 31), weight = x[i] * x[i];
            sum_lx += weight * x[i] * level;
            sum_ll += weight * level * level;
        }
        const IVec any = sum_ll > Vec{};
        const Vec s = pick(any, sum_lx / sum_ll, Vec{});
        const IVec better = step == 0 ? any | ~any : any & (sum_lx * sum_lx > best * sum_ll);
        scale = pick(better, s, scale);
        best = pick(better, s * sum_lx, best);
    }
    return pick(zero, Vec{}, scale);
}

static void pack_q6(const uint8_t * levels, uint8_t * low, uint8_t * high) {
    for (int half = 0; half < 2; ++half, levels += 128, low += 64, high += 32)
        for (int i = 0; i < 32; ++i) {
            const int a = levels[i], b = levels[i + 32], c = levels[i + 64], d = levels[i + 96];
            low[i] = static_cast<uint8_t>((a & 15) | (c << 4));
            low[i + 32] = static_cast<uint8_t>((b & 15) | (d << 4));
            high[i] = static_cast<uint8_t>(a >> 4 | b >> 4 << 2 | c >> 4 << 4 | d >> 4 << 6);
        }
}

// One super-block: 128 bytes of low bits, 64 of high ones, 16 scales, and theirs.
static void q6_block(const float * x, const float * scale, uint8_t * out) {
    float largest = 0, high = 0;
    for (int j = 0; j < 16; ++j) {
        const float a = __builtin_fabsf(scale[j]);
        largest = a > high ? scale[j] : largest;
        high = a > high ? a : high;
    }
    if (high < tiny) {
        std::memset(out, 0, 210);
        return;
    }
    const float inverse = -128 / largest;
    const uint16_t d = to_f16(1 / inverse);
    uint8_t levels[256];
    for (int j = 0; j < 16; ++j) {
        const float whole = clamp(rounded(inverse * scale[j]), -128, 127);
        const float factor = from_f16(d) * whole;
        for (int i = 0; i < 16; ++i)
            levels[16 * j + i] = static_cast<uint8_t>(
                factor != 0 ? 32 + clamp(rounded(x[16 * j + i] / factor), -32, 31) : 0);
        out[192 + j] = static_cast<uint8_t>(static_cast<int8_t>(whole));
    }
    pack_q6(levels, out, out + 128);
    std::memcpy(out + 208, &d, 2);
}

static void q6_k(const float * x, void * out, int64_t n) {
    uint8_t * bytes = static_cast<uint8_t *>(out);
    for (int64_t at = 0; at < n; at += 256, bytes += 210) {
        float scale[16];
        for (int b = 0; b < 16; b += lanes) {
            Vec turned[16];
            turn<16>(x + at + 16 * b, lanes, turned);
            store(scale + b, search_scale(turned));
        }
        q6_block(x + at, scale, bytes);
    }
}

// ---- a block at a time

static void q8_0(const float * x, void * out, int64_t n) {
    uint8_t * bytes = static_cast<uint8_t *>(out);
    for (int64_t at = 0; at < n; at += 32, bytes += 34) {
        Vec highs = {};
        for (int i = 0; i < 32; i += lanes)
            highs = max(highs, absolute(load(x + at + i)));
        float high = 0;
        for (int l = 0; l < lanes; ++l)
            high = highs[l] > high ? highs[l] : high;
        const float d = high / 127, inverse = d != 0 ? 1 / d : 0;
        const uint16_t half = to_f16(d);
        std::memcpy(bytes, &half, 2);
        int32_t levels[32];
        for (int i = 0; i < 32; i += lanes) { // halves away from zero
            const Vec v = load(x + at + i) * inverse;
            const IVec sign = (IVec)v & INT32_MIN;
            const Vec more = (Vec)((IVec)splat(0.49999997f) | sign);
            const IVec level = __builtin_convertvector(v + more, IVec);
            std::memcpy(levels + i, &level, sizeof level);
        }
        for (int i = 0; i < 32; ++i)
            bytes[2 + i] = static_cast<uint8_t>(levels[i]);
    }
}

static void f16(const float * x, void * out, int64_t n) {
    uint16_t * halves = static_cast<uint16_t *>(out);
    int64_t i = 0;
#if defined(__AVX2__)
    for (; i + 8 <= n; i += 8)
        _mm_storeu_si128(reinterpret_cast<__m128i *>(halves + i),
                         _mm256_cvtps_ph(_mm256_loadu_ps(x + i), 0));
#endif
    for (; i < n; ++i)
        halves[i] = to_f16(x[i]);
}

extern const Quantise quantise_kernels = {f16, q8_0, q4_k, q5_k, q6_k};

} // namespace ltx2::kernels::LTX2_VARIANT
