// The compiler's own vectors, as wide as the instruction set that a file is compiled for. Only
// files under variants/ include this: what it defines lies in the namespace of their variant, since
// two copies of one inline function would be merged into one that some processor cannot run. For
// the same reason nothing there calls a function of the standard library.
#pragma once

#if !defined(__GNUC__) && !defined(__clang__)
#error "the kernels are written with the vectors of GCC and Clang; on Windows use clang-cl"
#endif

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>
#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

// For the loop over the steps of a product: 10% faster. Not on aarch64, where compilers then
// run out of registers.
#if defined(__x86_64__)
#define LTX2_UNROLL_STEPS _Pragma("GCC unroll 8")
#else
#define LTX2_UNROLL_STEPS
#endif

namespace ltx2::kernels::LTX2_VARIANT {

// Loops whose indices the compiler knows: arrays in a loop that it does not unroll by itself are
// not kept in registers.
template <class F, int... I>
static inline __attribute__((always_inline)) void each(F f, std::integer_sequence<int, I...>) {
    (f(std::integral_constant<int, I>()), ...);
}
// f(0), ..., f(N - 1)
template <int N, class F>
static inline __attribute__((always_inline)) void each(F f) {
    each(f, std::make_integer_sequence<int, N>());
}

template <class F, int N>
static void call_with(const F & f) {
    f(std::integral_constant<int, N>());
}
template <class F, int... I>
static inline void with_count(int n, const F & f, std::integer_sequence<int, I...>) {
    static constexpr void (*calls[])(const F &) = {call_with<F, I + 1>...};
    calls[n - 1](f);
}
// f(n), n from 1 to Most
template <int Most, class F>
static inline void with_count(int n, const F & f) {
    with_count(n, f, std::make_integer_sequence<int, Most>());
}

#if defined(__AVX512F__)
constexpr int lanes = 16, registers = 32;
#elif defined(__AVX2__)
constexpr int lanes = 8, registers = 16;
#elif defined(__aarch64__)
constexpr int lanes = 4, registers = 32;
#else
constexpr int lanes = 4, registers = 16;
#endif

// Products of pairs of BF16 values: in tiles, or, where there are none, in vectors.
#if defined(__AMX_BF16__)
constexpr bool has_amx = true, has_bf16 = false;
#elif defined(__AVX512BF16__)
constexpr bool has_amx = false, has_bf16 = true;
#else
constexpr bool has_amx = false, has_bf16 = false;
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
// Magnitudes as bits, which are ordered as they are, with NaN above all: of floats, the maximum of
// NaN and a number may be the number, and what it scales would be finite.
static inline IVec magnitude(Vec v) { return (IVec)v & 0x7fffffff; }
static inline IVec max(IVec a, IVec b) {
#if defined(__AVX512F__)
    return (IVec)_mm512_max_epi32((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
    return (IVec)_mm256_max_epi32((__m256i)a, (__m256i)b);
#else
    return a > b ? a : b;
#endif
}
static inline float largest_of(IVec magnitudes) {
#if defined(__AVX512F__)
    const int32_t most = _mm512_reduce_max_epi32((__m512i)magnitudes);
#else
    int32_t most = magnitudes[0];
    for (int i = 1; i < lanes; ++i)
        most = magnitudes[i] > most ? magnitudes[i] : most;
#endif
    float largest;
    std::memcpy(&largest, &most, sizeof largest);
    return largest;
}
// Where one is NaN, the second.
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

// The first n of a vector, the others zero; for the rest at the end of a row.
static inline Vec load_some(const float * p, int n) {
    Vec v = {};
    std::memcpy(&v, p, static_cast<size_t>(n) * sizeof(float));
    return v;
}
static inline void store_some(float * p, Vec v, int n) {
    std::memcpy(p, &v, static_cast<size_t>(n) * sizeof(float));
}

// The first n, or all.
static inline Vec read(const float * p, int n) { return n == lanes ? load(p) : load_some(p, n); }
static inline void write(float * p, Vec v, int n) {
    if (n == lanes)
        store(p, v);
    else
        store_some(p, v, n);
}

// f(at, count) for vectors of n values, the last of which may have fewer.
template <class F>
static inline __attribute__((always_inline)) void by_vectors(int n, F f) {
    int at = 0;
    for (; at + lanes <= n; at += lanes)
        f(at, lanes);
    if (at < n)
        f(at, n - at);
}

// Of values that load_a(at, count) loads, a vector or fewer.
template <class LoadA>
static inline float dot_of(const LoadA & load_a, const float * b, int64_t n) {
    Vec sums[4] = {};
    int64_t i = 0;
    for (; i + 4 * lanes <= n; i += 4 * lanes)
        for (int j = 0; j < 4; ++j)
            sums[j] += load_a(i + j * lanes, lanes) * load(b + i + j * lanes);
    for (; i + lanes <= n; i += lanes)
        sums[0] += load_a(i, lanes) * load(b + i);
    if (const int left = static_cast<int>(n - i))
        sums[1] += load_a(i, left) * load_some(b + i, left);
    return sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
}
static inline float dot(const float * a, const float * b, int64_t n) {
    return dot_of([a](int64_t at, int count) { return read(a + at, count); }, b, n);
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
    for (int i = 0; i < lanes; ++i) // infinity and NaN have the largest exponent of either
        magnitude[i] |= sign[i] | ((p[i] & 0x7c00) == 0x7c00 ? 0x7f800000 : 0);
    std::memcpy(&v, magnitude, sizeof v);
    return v;
#endif
}

static inline Vec load_bf16(const void * p) {
    typedef uint16_t Halves __attribute__((vector_size(lanes * 2)));
    Halves halves;
    std::memcpy(&halves, p, sizeof halves);
    return (Vec)(__builtin_convertvector(halves, IVec) << 16);
}

// 1.5 * 2^23: added to an F32 below 2^22 it leaves an integer, which the low bits hold.
constexpr float rounder = 12582912.0f;
static inline Vec rounded(Vec x) { return (x + rounder) - rounder; }
static inline IVec nearest(Vec x) {
#if defined(__AVX512F__)
    return (IVec)_mm512_cvtps_epi32((__m512)x);
#elif defined(__AVX2__)
    return (IVec)_mm256_cvtps_epi32((__m256)x);
#else
    return __builtin_convertvector(rounded(x), IVec);
#endif
}

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

#if defined(__AVX512BF16__)
// 32 values as BF16, and what that leaves of them, or NaN where it is none.
struct Split {
    __m512i high, low;
};
static inline Split split(__m512 v0, __m512 v1) {
    const __m512i high = (__m512i)_mm512_cvtne2ps_pbh(v1, v0);
    const auto rest = [](__m512 v, __m256i halves) {
        return v - (__m512)_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16);
    };
    const __m512 r0 = rest(v0, _mm512_castsi512_si256(high));
    const __m512 r1 = rest(v1, _mm512_extracti64x4_epi64(high, 1));
    return {high, (__m512i)_mm512_cvtne2ps_pbh(r1, r0)};
}
#endif

// The sums of a tile: some rows times one panel of outputs, which is two vectors wide.
template <int Rows>
struct Sums {
    Vec low[Rows], high[Rows];
};
template <int Rows>
static inline __attribute__((always_inline)) void load(Sums<Rows> & s, const float * from,
                                                       int64_t stride) {
    each<Rows>([&](auto r) __attribute__((always_inline)) {
        s.low[r] = load(from + r * stride);
        s.high[r] = load(from + r * stride + lanes);
    });
}
template <int Rows>
static inline __attribute__((always_inline)) void store(float * to, int64_t stride,
                                                        const Sums<Rows> & s) {
    each<Rows>([&](auto r) __attribute__((always_inline)) {
        store(to + r * stride, s.low[r]);
        store(to + r * stride + lanes, s.high[r]);
    });
}
// One step of a matrix product: value(r) of each row times the panel's weights.
template <int Rows, class Value>
static inline __attribute__((always_inline)) void add_step(Sums<Rows> & s, const float * weights,
                                                           const Value & value) {
    const Vec w0 = load(weights), w1 = load(weights + lanes);
    each<Rows>([&](auto r) __attribute__((always_inline)) {
        const Vec v = splat(value(r));
        s.low[r] += v * w0;
        s.high[r] += v * w1;
    });
}

} // namespace ltx2::kernels::LTX2_VARIANT
