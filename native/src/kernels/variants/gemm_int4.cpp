// Products of 4-bit weights: exact integer sums of 32 values that come out as F32 under the power
// of two of their activations, and one scale of the weights for four of them.
#include "gemm_parts.h"

#include "ggml.h"

namespace ltx2::kernels::LTX2_VARIANT {

#if defined(__AVX512VNNI__)

// A group's sums stay in registers; the whole ones wait in memory, where they are wanted once a
// group.
template <int Rows>
static void tile_of(const GemmTile & t) {
    const auto * x = reinterpret_cast<const Int8Block<1> *>(t.rows);
    const uint32_t * w = t.panel.units;
    const float * scales = t.panel.scales;
    for (int64_t first = 0; first < t.count; first += int4_group, scales += panel) {
        const int64_t end = first + int4_group < t.count ? first + int4_group : t.count;
        __m512 low[Rows], high[Rows];
        each<Rows>([&](auto r) { low[r] = high[r] = _mm512_setzero_ps(); });
        for (int64_t b = first; b < end; b += 32, ++x, w += 8 * panel) {
            __m512i s0[Rows], s1[Rows];
            each<Rows>([&](auto r) { s0[r] = s1[r] = _mm512_set1_epi32(x->begin[0][r]); });
            each<8>([&](auto q) {
                const __m512i w0 = _mm512_loadu_si512(w + q * panel);
                const __m512i w1 = _mm512_loadu_si512(w + q * panel + 16);
                each<Rows>([&](auto r) {
                    const __m512i v = _mm512_set1_epi32(static_cast<int32_t>(x->units[0][q][r]));
                    s0[r] = _mm512_dpbusd_epi32(s0[r], w0, v);
                    s1[r] = _mm512_dpbusd_epi32(s1[r], w1, v);
                });
            });
            each<Rows>([&](auto r) {
                const __m512 d = _mm512_set1_ps(x->scale[r]);
                low[r] = _mm512_fmadd_ps(sum_as_f32(s0[r]), d, low[r]);
                high[r] = _mm512_fmadd_ps(sum_as_f32(s1[r]), d, high[r]);
            });
        }
        const __m512 d0 = _mm512_loadu_ps(scales), d1 = _mm512_loadu_ps(scales + 16);
        each<Rows>([&](auto r) {
            float * sums = t.sums + r * t.sums_stride;
            _mm512_storeu_ps(sums, _mm512_fmadd_ps(low[r], d0, _mm512_loadu_ps(sums)));
            _mm512_storeu_ps(sums + 16, _mm512_fmadd_ps(high[r], d1, _mm512_loadu_ps(sums + 16)));
        });
    }
}

template <int... I>
static void run(const GemmTile & t, int rows, std::integer_sequence<int, I...>) {
    static constexpr void (*tiles[])(const GemmTile &) = {tile_of<I + 1>...};
    tiles[rows - 1](t);
}

void tile_int4(const GemmTile & t, int rows) {
    run(t, rows, std::make_integer_sequence<int, rows_int8>());
}

// ---- weights: sixteen values a block, q * factor + offset, looked up under the group's scale

namespace {
struct Levels {
    float factor, offset;
    const uint8_t * nibbles; // 16 bytes
};
} // namespace

static inline float half_at(const uint8_t * p) {
    uint16_t half;
    std::memcpy(&half, p, sizeof half);
    return _cvtsh_ss(half);
}

// The 16 levels as bytes, 128 added, where `inverse` is 127 over the largest value of the group.
static inline __m128i table_of(float factor, float offset, float inverse) {
    const __m512 q = _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512 v =
        _mm512_fmadd_ps(q, _mm512_set1_ps(factor * inverse), _mm512_set1_ps(offset * inverse));
    return _mm_xor_si128(_mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(v)),
                         _mm_set1_epi8(static_cast<char>(0x80)));
}

static inline float absolute(float x) { return x < 0 ? -x : x; }
static inline float larger(float a, float b) { return a > b ? a : b; }

// levels(b, factor, offset) says what block b of the row is; lookup(b, table, values) unpacks it.
template <class LevelsFn, class LookupFn>
static inline void unpack(int64_t first, int64_t count, uint8_t * values, float * scales,
                          LevelsFn levels, LookupFn lookup) {
    for (int64_t i = first / 32, end = (first + count) / 32; i < end; ++scales) {
        const int64_t some = end - i < int4_group / 32 ? end - i : int4_group / 32;
        float factor[int4_group / 32], offset[int4_group / 32], most = 0;
        for (int64_t b = 0; b < some; ++b) {
            levels(i + b, factor[b], offset[b]);
            most = larger(most, larger(absolute(offset[b]), absolute(15 * factor[b] + offset[b])));
        }
        *scales = most / 127.0f;
        const float inverse = most > 0 ? 127.0f / most : 0.0f;
        for (int64_t b = 0; b < some; ++b, values += 32)
            lookup(i + b, table_of(factor[b], offset[b], inverse), values);
        i += some;
    }
}

static inline void look_up(__m128i table, __m128i indices, uint8_t * to) {
    _mm_storeu_si128(reinterpret_cast<__m128i *>(to),
                     _mm_shuffle_epi8(table, _mm_and_si128(indices, _mm_set1_epi8(15))));
}
static inline __m128i bytes_at(const uint8_t * p) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i *>(p));
}

static void q4_0(const uint8_t * row, int64_t first, int64_t count, uint8_t * values,
                 float * scales, float *) {
    unpack(
        first, count, values, scales,
        [&](int64_t b, float & factor, float & offset) {
            factor = half_at(row + b * 18);
            offset = -8 * factor;
        },
        [&](int64_t b, __m128i table, uint8_t * to) {
            const __m128i pairs = bytes_at(row + b * 18 + 2);
            look_up(table, pairs, to);
            look_up(table, _mm_srli_epi16(pairs, 4), to + 16);
        });
}

static void q4_k(const uint8_t * row, int64_t first, int64_t count, uint8_t * values,
                 float * scales, float *) {
    unpack(
        first, count, values, scales,
        [&](int64_t b, float & factor, float & offset) {
            const uint8_t * block = row + b / 8 * 144;
            int scale, minimum;
            k_scale(block + 4, static_cast<int>(b % 8), scale, minimum);
            factor = half_at(block) * static_cast<float>(scale);
            offset = -half_at(block + 2) * static_cast<float>(minimum);
        },
        [&](int64_t b, __m128i table, uint8_t * to) {
            const uint8_t * q = row + b / 8 * 144 + 16 + b % 8 / 2 * 32;
            for (int i = 0; i < 32; i += 16) {
                const __m128i pairs = bytes_at(q + i);
                look_up(table, b % 2 ? _mm_srli_epi16(pairs, 4) : pairs, to + i);
            }
        });
}

DecodeFn int4_decoder(int ggml_type) {
    return ggml_type == GGML_TYPE_Q4_0 ? q4_0 : ggml_type == GGML_TYPE_Q4_K ? q4_k : nullptr;
}

#else

void tile_int4(const GemmTile &, int) {}
DecodeFn int4_decoder(int) { return nullptr; }

#endif

} // namespace ltx2::kernels::LTX2_VARIANT
