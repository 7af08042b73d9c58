// Products of 8-bit values: blocks of 32 are summed exactly as integers, then scaled.
#include "kernels/variants/gemm_parts.h"

namespace ltx2::kernels::LTX2_VARIANT {

// Where the weights are too large by int8_offset, the sums begin with what that adds.
template <class Block>
static inline void prepare_block(const float * x, int r, Block & out) {
    constexpr int parts = 32 / lanes, units_count = 8;
    constexpr float most_value = Block::bytes == 1 ? 127.0f : 127.0f * 256;
    typedef int8_t Bytes __attribute__((vector_size(lanes)));
    Vec v[parts], most = {};
    for (int j = 0; j < parts; ++j) {
        v[j] = load(x + j * lanes);
        most = max(most, max(v[j], -v[j]));
    }
    const float largest = largest_of(most);
    // Of a block too small for that quotient nothing is left.
    const float inverse = largest > 1e-30f ? most_value / largest : 0.0f;
    IVec totals = {}, wholes[parts];
    uint32_t units[Block::bytes][units_count];
    for (int j = 0; j < parts; ++j) {
        IVec whole = wholes[j] = __builtin_convertvector(rounded(v[j] * inverse), IVec);
        totals += whole;
        for (int p = 0; p < Block::bytes; ++p) {
            const IVec part = p + 1 < Block::bytes ? (whole + 128) >> 8 : whole;
            whole -= part << 8;
            const Bytes bytes = __builtin_convertvector(part, Bytes);
            std::memcpy(reinterpret_cast<uint8_t *>(units[p]) + j * lanes, &bytes, sizeof bytes);
        }
    }
    if (Block::bytes == 2 && int16_pairs)
        for (int i = 0; i < 16; ++i) {
            const int at = i / 2 * 4 + i % 2, next = at + 2;
            const auto low = static_cast<uint16_t>(wholes[at / lanes][at % lanes]);
            const auto high = static_cast<uint32_t>(wholes[next / lanes][next % lanes]);
            units[i / 8][i % 8] = low | high << 16;
        }
    for (int p = 0; p < Block::bytes; ++p)
        for (int i = 0; i < units_count; ++i)
            out.unit(p, i, r) = units[p][i];
    const int32_t total = sum(totals);
    out.begin[r] = sum_bits - int8_offset * total;
    out.scale[r] = largest / most_value;
    out.sum[r] = largest / most_value * static_cast<float>(total);
}

template <class Block>
static void prepare_some(const float * x, int64_t stride, int rows, int64_t k, uint8_t * to) {
    auto * out = reinterpret_cast<Block *>(to);
    for (int64_t i = 0; i < k; i += 32, ++out)
        for (int r = 0; r < rows; ++r)
            prepare_block(x + r * stride + i, r, *out);
}

int64_t int8_bytes(Arithmetic arithmetic, int64_t k) {
    return static_cast<int64_t>(arithmetic == Arithmetic::int16 ? sizeof(Int8Block<2>)
                                                                : sizeof(Int8Block<1>)) *
           (k / 32);
}

void prepare_int8(Arithmetic arithmetic, const float * x, int64_t stride, int rows, int64_t k,
                  uint8_t * out) {
    (arithmetic == Arithmetic::int16 ? prepare_some<Int8Block<2>>
                                     : prepare_some<Int8Block<1>>)(x, stride, rows, k, out);
}

#if defined(__AVX512VNNI__)

template <int Bytes>
static inline __m512 as_f32(__m512i sum) {
    return Bytes == 1 ? sum_as_f32(sum) : _mm512_cvtepi32_ps(sum);
}

template <int Bytes>
static inline __m512i dot(__m512i sum, __m512i w, __m512i x) {
    return Bytes == 1 ? _mm512_dpbusd_epi32(sum, w, x) : _mm512_dpwssd_epi32(sum, w, x);
}

template <int Bytes, int Rows, bool Minima>
static void tile_of(const GemmTile & t) {
    __m512 low[Rows], high[Rows];
    each<Rows>([&](auto r) {
        low[r] = _mm512_loadu_ps(t.sums + r * t.sums_stride);
        high[r] = _mm512_loadu_ps(t.sums + r * t.sums_stride + 16);
    });
    const auto * x = reinterpret_cast<const Int8Block<Bytes> *>(t.rows);
    const uint32_t * w = t.panel.units;
    const float *scales = t.panel.scales, *minima = t.panel.minima;
    constexpr int units = 8 * Bytes;
    for (int64_t b = 0; b < t.count / 32; ++b, ++x, w += units * panel, scales += panel) {
        __m512i s0[Rows], s1[Rows];
        each<Rows>(
            [&](auto r) { s0[r] = s1[r] = _mm512_set1_epi32(Bytes == 1 ? x->begin[r] : 0); });
        each<units>([&](auto q) {
            const __m512i w0 = _mm512_loadu_si512(w + q * panel);
            const __m512i w1 = _mm512_loadu_si512(w + q * panel + 16);
            each<Rows>([&](auto r) {
                const __m512i v =
                    _mm512_set1_epi32(static_cast<int32_t>(x->units[q / 8][q % 8][r]));
                s0[r] = dot<Bytes>(s0[r], w0, v);
                s1[r] = dot<Bytes>(s1[r], w1, v);
            });
        });
        const __m512 d0 = _mm512_loadu_ps(scales), d1 = _mm512_loadu_ps(scales + 16);
        each<Rows>([&](auto r) {
            const __m512 d = _mm512_set1_ps(x->scale[r]);
            low[r] = _mm512_fmadd_ps(as_f32<Bytes>(s0[r]), _mm512_mul_ps(d0, d), low[r]);
            high[r] = _mm512_fmadd_ps(as_f32<Bytes>(s1[r]), _mm512_mul_ps(d1, d), high[r]);
        });
        if (Minima) {
            const __m512 m0 = _mm512_loadu_ps(minima), m1 = _mm512_loadu_ps(minima + 16);
            each<Rows>([&](auto r) {
                const __m512 sum = _mm512_set1_ps(x->sum[r]);
                low[r] = _mm512_fmadd_ps(sum, m0, low[r]);
                high[r] = _mm512_fmadd_ps(sum, m1, high[r]);
            });
            minima += panel;
        }
    }
    each<Rows>([&](auto r) {
        _mm512_storeu_ps(t.sums + r * t.sums_stride, low[r]);
        _mm512_storeu_ps(t.sums + r * t.sums_stride + 16, high[r]);
    });
}

void tile_int8(int bytes, const GemmTile & t, int rows) {
    with_shape(bytes, t, rows, [&](auto p, auto r, auto minima) { tile_of<p, r, minima>(t); });
}

bool multiplies_int8(int, int) { return true; }

#elif !defined(__AVX2__) && !defined(__ARM_FEATURE_DOTPROD) // else another file has them

void tile_int8(int, const GemmTile &, int) {}
bool multiplies_int8(int, int) { return false; }

#endif

} // namespace ltx2::kernels::LTX2_VARIANT
