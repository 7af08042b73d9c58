// Products of 4-bit weights brought to 8: exact integer sums of 32 values under the scale of their
// activations, and one scale of the weights for four of them.
#include "kernels/variants/gemm_parts.h"

namespace ltx2::kernels::LTX2_VARIANT {

#if defined(__AVX512VNNI__)

// A group's sums stay in registers; the whole ones wait in memory, where they are wanted once a
// group.
template <int Rows>
static void tile_of(const GemmTile & t) {
    constexpr int units = 8;
    const auto * x = reinterpret_cast<const Int8Block<1> *>(t.rows);
    const uint32_t * w = t.panel.units;
    const float * scales = t.panel.scales;
    for (int64_t first = 0; first < t.count; first += int4_group, scales += panel) {
        const int64_t end = first + int4_group < t.count ? first + int4_group : t.count;
        __m512 low[Rows], high[Rows];
        each<Rows>([&](auto r) { low[r] = high[r] = _mm512_setzero_ps(); });
        for (int64_t b = first; b < end; b += 32, ++x, w += units * panel) {
            __m512i s0[Rows], s1[Rows];
            each<Rows>([&](auto r) { s0[r] = s1[r] = _mm512_set1_epi32(x->begin[r]); });
            each<units>([&](auto q) {
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

void tile_int4(const GemmTile & t, int rows) {
    with_count<rows_int8>(rows, [&](auto r) { tile_of<r>(t); });
}

#else

void tile_int4(const GemmTile &, int) {}

#endif

} // namespace ltx2::kernels::LTX2_VARIANT
