// Squares of units of four bytes in registers. Only for files under variants/.
#pragma once

#include "kernels/simd.h"

namespace ltx2::kernels::LTX2_VARIANT {

#if defined(__AVX512F__)
// 16 x 16 units, v[row][column], to put(column, vector of rows): pairs, fours, then the four
// quarters of the vectors.
template <class Put>
static inline __attribute__((always_inline)) void transpose_16(const __m512i (&v)[16], Put put) {
    __m512i a[16], b[16];
    each<8>([&](auto i) {
        b[2 * i] = _mm512_unpacklo_epi32(v[2 * i], v[2 * i + 1]);
        b[2 * i + 1] = _mm512_unpackhi_epi32(v[2 * i], v[2 * i + 1]);
    });
    each<4>([&](auto i) {
        a[4 * i] = _mm512_unpacklo_epi64(b[4 * i], b[4 * i + 2]);
        a[4 * i + 1] = _mm512_unpackhi_epi64(b[4 * i], b[4 * i + 2]);
        a[4 * i + 2] = _mm512_unpacklo_epi64(b[4 * i + 1], b[4 * i + 3]);
        a[4 * i + 3] = _mm512_unpackhi_epi64(b[4 * i + 1], b[4 * i + 3]);
    });
    each<4>([&](auto i) {
        const __m512i low = _mm512_shuffle_i32x4(a[i], a[4 + i], 0x88);
        const __m512i high = _mm512_shuffle_i32x4(a[i], a[4 + i], 0xdd);
        const __m512i low2 = _mm512_shuffle_i32x4(a[8 + i], a[12 + i], 0x88);
        const __m512i high2 = _mm512_shuffle_i32x4(a[8 + i], a[12 + i], 0xdd);
        put(i, _mm512_shuffle_i32x4(low, low2, 0x88));
        put(4 + i, _mm512_shuffle_i32x4(high, high2, 0x88));
        put(8 + i, _mm512_shuffle_i32x4(low, low2, 0xdd));
        put(12 + i, _mm512_shuffle_i32x4(high, high2, 0xdd));
    });
}
#endif

} // namespace ltx2::kernels::LTX2_VARIANT
