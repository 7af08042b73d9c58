// How the transformed values of a Winograd convolution lie for this variant's products.
#pragma once

#include "kernels/simd.h"
#include "kernels/variants/tiles.h"
#include "kernels/winograd.h"

namespace ltx2::kernels::LTX2_VARIANT {

// With Tiles, products are in tiles of BF16.
template <bool Tiles>
constexpr int depth = Tiles ? 32 : 16;

#if defined(__AMX_BF16__)

// A group's transformed pixels, of which `channels` are there, F32 -> [2][depth] BF16, in place.
static inline void split_pixels(float * values, int channels) {
    const __m512 v0 = (__m512)load(values);
    const __m512 v1 = channels > lanes ? (__m512)load(values + lanes) : _mm512_setzero_ps();
    const Split s = split(v0, v1);
    _mm512_storeu_si512(values, s.high);
    _mm512_storeu_si512(values + lanes, s.low);
}

// A group's transformed weights likewise, [depth][panel] -> [depth / 2][2][panel] pairs.
static inline void split_weights(float * values, int channels) {
    constexpr int panel = 2 * lanes;
    // Halves i and 16 + i, for all i.
    const __m512i numbers = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i in_turn = _mm512_or_si512(
        numbers, _mm512_slli_epi32(_mm512_add_epi32(numbers, _mm512_set1_epi32(16)), 16));
    for (int c = 0; c < depth<true>; c += 2, values += 2 * panel)
        for (int half = 0; half < panel; half += lanes) {
            float * at = values + half;
            const __m512 v0 = c < channels ? (__m512)load(at) : _mm512_setzero_ps();
            const __m512 v1 = c + 1 < channels ? (__m512)load(at + panel) : _mm512_setzero_ps();
            const Split s = split(v0, v1);
            _mm512_storeu_si512(at, _mm512_permutexvar_epi16(in_turn, s.high));
            _mm512_storeu_si512(at + panel, _mm512_permutexvar_epi16(in_turn, s.low));
        }
}

#else

static inline void split_pixels(float *, int) {}
static inline void split_weights(float *, int) {}

#endif

} // namespace ltx2::kernels::LTX2_VARIANT
