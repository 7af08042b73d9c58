// How the transformed values of a Winograd convolution lie for this variant's products.
#pragma once

#include "kernels/simd.h"
#include "kernels/variants/tiles.h"
#include "kernels/variants/vnni.h"
#include "kernels/winograd.h"

namespace ltx2::kernels::LTX2_VARIANT {

// What products are of: F32 in vectors, sums of two BF16 in tiles, integers of 16 bits in pairs.
enum class Form { vectors, tiles, pairs };

#if defined(__AMX_BF16__)
constexpr Form form_of_16_bits = Form::tiles;
#else
constexpr Form form_of_16_bits = has_vnni ? Form::pairs : Form::vectors;
#endif

template <Form F>
constexpr int depth = F == Form::vectors ? 16
                      : F == Form::tiles ? 32
                                         : 64;
// Of pairs there is the scale, then two values in a float's room.
template <Form F>
constexpr int row = F == Form::pairs ? 1 + depth<F> / 2 : depth<F>;

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
    for (int c = 0; c < depth<Form::tiles>; c += 2, values += 2 * panel)
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

#if defined(__AVX2__)

// A group's transformed pixels, zeros after them up to a whole vector, as integers.
static inline void pair_pixels(const float * from, int channels, float * to) {
    round_int16(from, (channels + lanes - 1) / lanes * lanes, reinterpret_cast<int16_t *>(to + 1),
                *to);
}

// A group's transformed weights likewise, in place, [depth][panel] -> scales [panel] and pairs
// [depth / 2][panel]. A pair is written where the later of its values, or an earlier one, was.
static inline void pair_weights(float * values, int channels) {
    constexpr int panel = 2 * lanes;
    if (channels % 2)
        std::memset(values + channels * panel, 0, panel * sizeof(float));
    IVec most[4] = {};
    Vec squares[4] = {}, scale[2], inverse[2];
    for (int c = 0; c < channels; c += 2)
        each<4>([&](auto i) {
            const Vec v = load(values + c * panel + i * lanes);
            most[i] = max(most[i], magnitude(v));
            squares[i] += v * v;
        });
    each<2>([&](auto i) {
        const IVec both = max(most[i], most[i + 2]);
        inverse[i] = inverse_int16((Vec)both, squares[i] + squares[i + 2], scale[i]);
    });
    for (int c = 0; c < channels; c += 2)
        each<2>([&](auto i) {
            const float * from = values + c * panel + i * lanes;
            const IVec even = nearest(load(from) * inverse[i]);
            const IVec odd = nearest(load(from + panel) * inverse[i]);
            store(values + (c / 2 + 1) * panel + i * lanes, (Vec)((even & 0xffff) | odd << 16));
        });
    each<2>([&](auto i) { store(values + i * lanes, scale[i]); });
}

#else

static inline void pair_pixels(const float *, int, float *) {}
static inline void pair_weights(float *, int) {}

#endif

template <Form F>
static inline void pack_weights(float * values, int channels) {
    if (F == Form::tiles)
        split_weights(values, channels);
    if (F == Form::pairs)
        pair_weights(values, channels);
}
// Transforms pixels by transform(where to, stride) into `to`, as its form wants them.
template <Form F, int Positions, class Transform>
static inline void pack_pixels(int channels, float * to, int64_t stride,
                               const Transform & transform) {
    if (F == Form::pairs) {
        float values[Positions * depth<F>];
        transform(values, depth<F>);
        for (int i = 0; i < Positions; ++i)
            pair_pixels(values + i * depth<F>, channels, to + i * stride);
        return;
    }
    transform(to, stride);
    for (int i = 0; F == Form::tiles && i < Positions; ++i)
        split_pixels(to + i * stride, channels);
}

} // namespace ltx2::kernels::LTX2_VARIANT
