// The matrix products of attention and its exponential. Like simd.h, only for files under
// variants/.
#pragma once

#include "kernels/simd.h"

namespace ltx2::kernels::LTX2_VARIANT {

// The register tile: `rows` keys (or channels of a value) by up to `columns` vectors of queries.
static constexpr int rows = registers == 32 ? 8 : 4, columns = 3, tile = columns * lanes;

// 2^x for x <= 0, relative error 2e-7, or 8e-5 for what is rounded to BF16 anyway: 2^floor(x) times
// a minimax polynomial.
template <bool Rough>
static inline Vec exp2(Vec x) {
#if defined(__AVX512F__)
    const Vec n = x; // of which scalef takes the floor
    const Vec r = (Vec)_mm512_reduce_ps((__m512)x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
#else
    x = max(splat(-126.0f), x); // NaN stays
    const Vec n = rounded(x - 0.5f);
    const Vec r = x - n;
#endif
    Vec p;
    if constexpr (Rough) {
        p = splat(0.07802419f) * r + 0.22606721f;
        p = p * r + 0.69583374f;
        p = p * r + 0.99992517f;
    } else {
        p = splat(0.0018775742f) * r + 0.0089893449f;
        p = p * r + 0.0558263152f;
        p = p * r + 0.2401536175f;
        p = p * r + 0.6931530732f;
        p = p * r + 0.9999999251f;
    }
    return times_power(p, n);
}

// What one step of a product multiplies: one F32 value, or a pair of BF16 values.
struct Singles {
    using Value = float;
    static constexpr int pair = 1;
    static inline Vec add(Vec sum, Vec a, Vec b) { return a * b + sum; }
    static inline Vec spread(float x) { return splat(x); }
};
#if defined(__AVX512BF16__)
struct Pairs {
    using Value = int32_t;
    static constexpr int pair = 2;
    static inline Vec add(Vec sum, Vec a, Vec b) {
        return (Vec)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
    }
    static inline Vec spread(int32_t x) { return (Vec)_mm512_set1_epi32(x); }
    // Lane i holds a[i] and b[i].
    static inline Vec both(Vec a, Vec b) {
        const __m512i order =
            _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7,
                             22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
        const __m512i apart = (__m512i)_mm512_cvtne2ps_pbh((__m512)b, (__m512)a);
        return (Vec)_mm512_permutexvar_epi16(order, apart);
    }
    // 2 * lanes neighbours as lanes pairs
    static inline Vec neighbours(const float * x) {
        return (Vec)_mm512_cvtne2ps_pbh((__m512)load(x + lanes), (__m512)load(x));
    }
};
#endif

// sums[r][n] = sums[r][n] * scale[n] + the sum over steps of a[r] * b[n]; without a scale the old
// sums are dropped. a is [rows][lda] steps, or where Panel, [steps][rows]; b [steps][tile].
template <class M, bool Panel, int N>
static inline void product(const typename M::Value * a, int64_t lda, const float * b, int64_t steps,
                           const float * scale, float * sums) {
    Vec c[rows][N];
    each<rows>([&](auto r) {
        each<N>([&](auto n) {
            c[r][n] = scale ? load(sums + r * tile + n * lanes) * load(scale + n * lanes) : Vec{};
        });
    });
    LTX2_UNROLL_STEPS
    for (int64_t step = 0; step < steps; ++step, b += tile) {
        Vec queries[N];
        each<N>([&](auto n) { queries[n] = load(b + n * lanes); });
        each<rows>([&](auto r) {
            const Vec v = M::spread(Panel ? a[step * rows + r] : a[r * lda + step]);
            each<N>([&](auto n) { c[r][n] = M::add(c[r][n], v, queries[n]); });
        });
    }
    each<rows>(
        [&](auto r) { each<N>([&](auto n) { store(sums + r * tile + n * lanes, c[r][n]); }); });
}

} // namespace ltx2::kernels::LTX2_VARIANT
