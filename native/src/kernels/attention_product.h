// The products of attention and its exponential. Only files under variants/ include this, as
// simd.h.
#pragma once

#include "kernels/simd.h"

#include <utility>

namespace ltx2::kernels::LTX2_VARIANT {

// The register tile: `rows` keys (or channels of a value) by up to `columns` vectors of queries.
static constexpr int rows = registers == 32 ? 8 : 4, columns = 3, tile = columns * lanes;

// 2^x for x <= 0, relative error 2e-7, or 8e-5 for what is rounded to BF16 anyway: 2^floor(x) times
// a minimax polynomial.
template <bool Rough>
static inline Vec exp2(Vec x) {
#if defined(__AVX512F__)
    const Vec r = (Vec)_mm512_reduce_ps((__m512)x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
#else
    x = max(x, splat(-126.0f));
    const float magic = 12582912.0f; // rounds to an integer
    const Vec n = ((x - 0.5f) + magic) - magic;
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
#if defined(__AVX512F__)
    return (Vec)_mm512_scalef_ps((__m512)p, (__m512)x);
#else
    const IVec bits = (__builtin_convertvector(n, IVec) + 127) << 23;
    Vec scale;
    std::memcpy(&scale, &bits, sizeof scale);
    return p * scale;
#endif
}

// How values enter a product: one a step in F32, or a pair.
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

// sums[r][n] = sums[r][n] * scale[n] + the sum over steps of a[r] * b[n]; without a scale what was
// there is forgotten. a is [rows][lda] steps, or where Panel, [steps][rows]; b [steps][tile].
// Indices are unrolled by the type, since a loop the compiler does not unroll leaves the registers.
template <class M, bool Panel, int N, size_t... R>
static inline void product(const typename M::Value * a, int64_t lda, const float * b, int64_t steps,
                           const float * scale, float * sums, std::index_sequence<R...>) {
    Vec c[sizeof...(R)][N];
    const auto begin = [&](Vec(&sum)[N], const float * from) {
        for (int n = 0; n < N; ++n)
            sum[n] = scale ? load(from + n * lanes) * load(scale + n * lanes) : Vec{};
    };
    (begin(c[R], sums + R * tile), ...);
#if defined(__x86_64__) // elsewhere compilers then leave the registers
#pragma GCC unroll 4
#endif
    for (int64_t step = 0; step < steps; ++step, b += tile) {
        const Vec b0 = load(b), b1 = N > 1 ? load(b + lanes) : b0,
                  b2 = N > 2 ? load(b + 2 * lanes) : b0;
        const auto one = [&](Vec(&sum)[N], typename M::Value x) {
            const Vec v = M::spread(x);
            sum[0] = M::add(sum[0], v, b0);
            if constexpr (N > 1)
                sum[1] = M::add(sum[1], v, b1);
            if constexpr (N > 2)
                sum[2] = M::add(sum[2], v, b2);
        };
        const auto at = [&](size_t r) {
            const int64_t row = static_cast<int64_t>(r);
            return Panel ? a[step * rows + row] : a[row * lda + step];
        };
        (one(c[R], at(R)), ...);
    }
    const auto end = [&](const Vec(&sum)[N], float * to) {
        for (int n = 0; n < N; ++n)
            store(to + n * lanes, sum[n]);
    };
    (end(c[R], sums + R * tile), ...);
}

} // namespace ltx2::kernels::LTX2_VARIANT
