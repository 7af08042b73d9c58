// The compiler's own vectors, as wide as the instruction set that a file is compiled for. Only
// files under variants/ include this: what it defines lies in the namespace of their variant, since
// two copies of one inline function would be merged into one that some processor cannot run. For
// the same reason nothing there calls a function of the standard library.
#pragma once

#if !defined(__GNUC__)
#error "the kernels are written with the vectors of GCC and Clang; on Windows use clang-cl"
#endif

#include <cstddef>
#include <cstdint>
#include <cstring>
#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace ltx2::kernels::LTX2_VARIANT {

#if defined(__AVX512F__)
constexpr int lanes = 16, registers = 32;
#elif defined(__AVX2__)
constexpr int lanes = 8, registers = 16;
#elif defined(__aarch64__)
constexpr int lanes = 4, registers = 32;
#else
constexpr int lanes = 4, registers = 16;
#endif

#if defined(__AVX512BF16__) // products of pairs of BF16 values
constexpr bool has_bf16 = true;
#else
constexpr bool has_bf16 = false;
#endif

typedef float Vec __attribute__((vector_size(lanes * sizeof(float))));
typedef int32_t IVec __attribute__((vector_size(lanes * sizeof(int32_t))));

static inline Vec splat(float x) { return x - Vec{}; }
static inline Vec load(const float * p) {
    Vec v;
    std::memcpy(&v, p, sizeof v);
    return v;
}
static inline void store(float * p, Vec v) { std::memcpy(p, &v, sizeof v); }

static inline float sum(Vec v) {
    float total = 0;
    for (int i = 0; i < lanes; ++i)
        total += v[i];
    return total;
}
static inline int32_t sum(IVec v) {
#if defined(__AVX512F__)
    return _mm512_reduce_add_epi32((__m512i)v);
#else
    int32_t total = 0;
    for (int i = 0; i < lanes; ++i)
        total += v[i];
    return total;
#endif
}
static inline float largest_of(Vec v) {
#if defined(__AVX512F__)
    return _mm512_reduce_max_ps((__m512)v);
#else
    float most = v[0];
    for (int i = 1; i < lanes; ++i)
        most = v[i] > most ? v[i] : most;
    return most;
#endif
}
static inline Vec max(Vec a, Vec b) {
#if defined(__AVX512F__) // GCC makes two instructions of the comparison
    return (Vec)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
    return (Vec)_mm256_max_ps((__m256)a, (__m256)b);
#else
    return a > b ? a : b;
#endif
}
static inline Vec min(Vec a, Vec b) {
#if defined(__AVX512F__)
    return (Vec)_mm512_min_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
    return (Vec)_mm256_min_ps((__m256)a, (__m256)b);
#else
    return a < b ? a : b;
#endif
}

// The first n of a vector, the others zero; for what is left at the end of a row.
static inline Vec load_some(const float * p, int n) {
    Vec v = {};
    std::memcpy(&v, p, static_cast<size_t>(n) * sizeof(float));
    return v;
}
static inline void store_some(float * p, Vec v, int n) {
    std::memcpy(p, &v, static_cast<size_t>(n) * sizeof(float));
}

static inline float dot(const float * a, const float * b, int64_t n) {
    Vec sums[4] = {};
    int64_t i = 0;
    for (; i + 4 * lanes <= n; i += 4 * lanes)
        for (int j = 0; j < 4; ++j)
            sums[j] += load(a + i + j * lanes) * load(b + i + j * lanes);
    for (; i + lanes <= n; i += lanes)
        sums[0] += load(a + i) * load(b + i);
    if (const int left = static_cast<int>(n - i))
        sums[1] += load_some(a + i, left) * load_some(b + i, left);
    return sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

// The next `lanes` values of 16 bits.
static inline Vec load_f16(const uint16_t * p) {
#if defined(__AVX512F__)
    return (Vec)_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(p)));
#elif defined(__AVX2__)
    return (Vec)_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i *>(p)));
#elif defined(__aarch64__)
    return (Vec)vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
#else
    uint32_t magnitude[lanes], sign[lanes];
    for (int i = 0; i < lanes; ++i) {
        magnitude[i] = static_cast<uint32_t>(p[i] & 0x7fff) << 13;
        sign[i] = static_cast<uint32_t>(p[i] & 0x8000) << 16;
    }
    Vec v;
    std::memcpy(&v, magnitude, sizeof v);
    v *= 0x1p112f; // moves the exponent from half's bias to float's, subnormals too
    std::memcpy(magnitude, &v, sizeof v);
    for (int i = 0; i < lanes; ++i)
        magnitude[i] |= sign[i];
    std::memcpy(&v, magnitude, sizeof v);
    return v;
#endif
}

// 1.5 * 2^23: added to an F32 below 2^22 it leaves an integer, which the low bits hold.
constexpr float rounder = 12582912.0f;
static inline Vec rounded(Vec x) { return (x + rounder) - rounder; }

// x * 2^n, n whole; with AVX-512 the floor of n counts
static inline Vec times_power(Vec x, Vec n) {
#if defined(__AVX512F__)
    return (Vec)_mm512_scalef_ps((__m512)x, (__m512)n);
#else
    const IVec bits = (__builtin_convertvector(n, IVec) + 127) << 23;
    Vec power;
    std::memcpy(&power, &bits, sizeof power);
    return x * power;
#endif
}

// e^x for x <= 88, relative error below 4e-7: x = n ln2 + r, e^r by a polynomial (3e-9, short
// chains first), 2^n by the exponent bits. Below -87 it gives e^-87.
static inline Vec exp(Vec x) {
    x = max(splat(-87.0f), min(splat(88.0f), x));
#if defined(__AVX512F__)
    const Vec n = (Vec)_mm512_roundscale_ps((__m512)(x * 1.44269504f), 8);
#else
    const Vec n = rounded(x * 1.44269504f);
#endif
#if defined(__FMA__) || defined(__aarch64__)
    const Vec r = x - n * 0.69314718f;
#else
    const Vec r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
#endif
    const Vec square = r * r;
    const Vec low = 0.49999993372f + 0.16666519512f * r;
    const Vec high = (0.041668401223f + 0.0083688525147f * r) + 0.0013814317756f * square;
    const Vec p = (1.0f + r) + square * (low + square * high);
    return times_power(p, n);
}

} // namespace ltx2::kernels::LTX2_VARIANT
