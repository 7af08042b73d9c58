// Products of integers, four of 8 bits or two of 16 in each lane, added up: VNNI. Only for files
// under variants/.
#pragma once

#include "kernels/simd.h"

namespace ltx2::kernels::LTX2_VARIANT {

#if defined(__AVX2__)

static inline IVec load_units(const uint32_t * p) {
    IVec v;
    std::memcpy(&v, p, sizeof v);
    return v;
}
static inline IVec splat_unit(uint32_t x) { return static_cast<int32_t>(x) - IVec{}; }

#endif

#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)
constexpr bool has_vnni = true;

template <int Bytes>
static inline IVec dot(IVec sum, IVec w, IVec x) {
#if defined(__AVX512VNNI__)
    return (IVec)(Bytes == 1 ? _mm512_dpbusd_epi32((__m512i)sum, (__m512i)w, (__m512i)x)
                             : _mm512_dpwssd_epi32((__m512i)sum, (__m512i)w, (__m512i)x));
#else
    return (IVec)(Bytes == 1 ? _mm256_dpbusd_avx_epi32((__m256i)sum, (__m256i)w, (__m256i)x)
                             : _mm256_dpwssd_avx_epi32((__m256i)sum, (__m256i)w, (__m256i)x));
#endif
}

#else
constexpr bool has_vnni = false;
#endif

// The largest norms of values of 16 bits whose products' sum stays below 2^31, by Cauchy and
// Schwarz, rounding included: the square of 46330 + sqrt(128) / 2 is less.
constexpr float most_norm = 46330, most_int16 = 32767, root_of_run = 11.4f;
static inline float root(float x) { return __builtin_sqrtf(x); }
#if defined(__AVX512F__)
static inline Vec root(Vec x) { return (Vec)_mm512_sqrt_ps((__m512)x); }
#elif defined(__AVX2__)
static inline Vec root(Vec x) { return (Vec)_mm256_sqrt_ps((__m256)x); }
#endif
// What makes values with this largest magnitude and sum of squares such integers; of values too
// small for that nothing is left. `scale` is its inverse, not finite where a value is not, which
// makes the products so.
template <class V>
static inline V inverse_int16(V largest, V squares, V & scale) {
    const V zero = {};
    // Where squares leave the range of F32, values are as if all were the largest.
    const V by_norm = squares > 1e-30f && squares < 1e38f ? most_norm / root(squares)
                                                          : (most_norm / root_of_run) / largest;
    const V by_most = most_int16 / largest;
    const V inverse = largest > 1e-30f ? (by_norm < by_most ? by_norm : by_most) : zero;
    scale = inverse > 0.0f ? 1.0f / inverse : largest - largest;
    return inverse;
}

#if defined(__AVX2__)
// `count` values, whole vectors and at most one run, so; what is not finite makes the scale so.
static inline void round_int16(const float * x, int64_t count, int16_t * out, float & scale) {
    typedef int16_t Halves __attribute__((vector_size(lanes * 2)));
    IVec most = {};
    Vec squares = {};
    for (int64_t i = 0; i < count; i += lanes) {
        const Vec v = load(x + i);
        most = max(most, magnitude(v));
        squares += v * v;
    }
    const float inverse = inverse_int16(largest_of(most), sum(squares), scale);
    for (int64_t i = 0; i < count; i += lanes) {
        const Halves halves = __builtin_convertvector(nearest(load(x + i) * inverse), Halves);
        std::memcpy(out + i, &halves, sizeof halves);
    }
}
#endif

} // namespace ltx2::kernels::LTX2_VARIANT
