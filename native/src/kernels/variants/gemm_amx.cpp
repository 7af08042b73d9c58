// Matrix products of BF16 pairs on the tile registers of AMX: sixteen rows, or thirty-two pairs of
// values, of 64 bytes each. Four tiles of sums are 32 rows x 32 outputs.
#if defined(__AMX_BF16__)

#include "kernels/variants/gemm_parts.h"
#include "kernels/variants/tiles.h"

namespace ltx2::kernels::LTX2_VARIANT {

static_assert(panel == 32 && rows_amx == 32, "as the tiles are laid out");
static constexpr int step = 32;                                     // values of k
static constexpr int64_t step_bytes = int64_t{2} * step * rows_amx; // of prepared rows, one plane
static constexpr int64_t panel_bytes = 4 * panel;

// [k / step][planes][rows][step], where what is past k counts as zero.
void prepare_amx(int planes, const float * x, int64_t stride, int rows, int64_t k, uint8_t * out) {
    for (int64_t first = 0; first < k; first += step, out += planes * step_bytes) {
        const int64_t count = k - first < step ? k - first : step;
        for (int r = 0; r < rows; ++r) {
            const auto mask = [&](int64_t i) {
                const int64_t some = count - i < 0 ? 0 : count - i < lanes ? count - i : lanes;
                return static_cast<__mmask16>((1u << some) - 1);
            };
            const float * from = x + r * stride + first;
            const __m512 v0 = _mm512_maskz_loadu_ps(mask(0), from);
            const __m512 v1 = _mm512_maskz_loadu_ps(mask(lanes), from + lanes);
            const Split s = split(v0, v1);
            _mm512_storeu_si512(out + r * 64, s.high);
            if (planes == 2)
                _mm512_storeu_si512(out + step_bytes + r * 64, s.low);
        }
    }
}

// Sums of 16 or 32 rows. The first plane of either side is its values' high parts, the second one
// what these leave; the product of both second ones is too small to count.
template <int Planes, bool Both>
static void tile_of(const GemmTile & t) {
    settle();
    const int64_t stride = t.sums_stride * 4;
    load_sums<Both>(t.sums, stride);
    const int64_t units = (t.count + 1) / 2; // of a plane
    alignas(64) uint32_t last[Planes][step / 2 * panel];
    for (int64_t first = 0; first < units; first += step / 2) {
        const uint8_t * x = t.rows + 2 * first / step * Planes * step_bytes;
        const uint32_t * w[2] = {t.panel.units + first * panel,
                                 t.panel.units + (units + first) * panel};
        if (units - first < step / 2)
            for (int p = 0; p < Planes; ++p) {
                const auto size = static_cast<size_t>((units - first) * panel_bytes);
                std::memset(last[p], 0, sizeof last[p]);
                std::memcpy(last[p], w[p], size);
                w[p] = last[p];
            }
        settle();
        const auto add = [&](int x_plane, int w_plane) {
            add_pairs<Both>(x + x_plane * step_bytes, 64, w[w_plane], panel_bytes);
        };
        if (Planes == 2) {
            add(1, 0);
            if (t.panel.has_rest)
                add(0, 1);
        }
        add(0, 0);
    }
    store_sums<Both>(t.sums, stride);
}

void tile_amx(int planes, const GemmTile & t, int rows) {
    if (planes == 1)
        rows > 16 ? tile_of<1, true>(t) : tile_of<1, false>(t);
    else
        rows > 16 ? tile_of<2, true>(t) : tile_of<2, false>(t);
}

} // namespace ltx2::kernels::LTX2_VARIANT

#endif
