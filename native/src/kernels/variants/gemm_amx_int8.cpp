// Matrix products of 8-bit values on the tile registers of AMX: sixteen rows of 64 values each. The
// sums of a run of blocks, of which a rotation has mixed all values, stay integers in four tiles,
// 32 rows x 32 outputs. They become F32 while the next run is multiplied, on other ports.
#if defined(__AMX_INT8__)

#include "kernels/variants/gemm_parts.h"
#include "kernels/variants/tiles.h"

namespace ltx2::kernels::LTX2_VARIANT {

static_assert(panel == 32 && rows_amx == 32, "as the tiles are laid out");
static constexpr int64_t step = 64, run = 32 * run_blocks; // values of k
static constexpr int64_t panel_bytes = 4 * panel;

namespace {
struct RunRows {
    int8_t values[run / step][rows_amx][step];
    float scale[rows_amx];
};

// The integer sums of a run that is to be added.
struct Wholes {
    alignas(64) int32_t sums[rows_amx][panel];
};
} // namespace

int64_t run_bytes_amx(int64_t k) { return k / run * static_cast<int64_t>(sizeof(RunRows)); }

static void prepare_row(const float * x, int r, RunRows & out) {
    Vec v[run / lanes];
    IVec most = {};
    for (int64_t i = 0; i < run / lanes; ++i) {
        v[i] = load(x + i * lanes);
        most = max(most, magnitude(v[i]));
    }
    // As gemm_int8.cpp treats values without an inverse, and those that are not finite.
    const float largest = largest_of(most);
    const float inverse = largest > 1e-30f ? 127 / largest : 0.0f;
    const bool finite = largest - largest == 0;
    for (int64_t i = 0; i < run / lanes; ++i) {
        const __m512i whole = _mm512_cvtps_epi32((__m512)(finite ? v[i] * inverse : Vec{}));
        const __m128i bytes = _mm512_cvtepi32_epi8(whole);
        std::memcpy(out.values[i * lanes / step][r] + i * lanes % step, &bytes, sizeof bytes);
    }
    out.scale[r] = largest / 127;
}

void prepare_run_amx(const float * x, int64_t stride, int rows, int64_t k, uint8_t * to) {
    auto * out = reinterpret_cast<RunRows *>(to);
    for (int64_t first = 0; first < k; first += run, ++out)
        for (int r = 0; r < rows; ++r)
            prepare_row(x + r * stride + first, r, *out);
}

// Adds what a run sums up to, for rows r and r + 1.
template <bool Scaled>
static inline __attribute__((always_inline)) void
add_two(const GemmTile & t, const RunRows & x, const Wholes & wholes, const float * scales, int r) {
    each<2>([&](auto i) __attribute__((always_inline)) {
        float * sums = t.sums + (r + i) * t.sums_stride;
        const Vec scale = splat(x.scale[r + i]);
        each<2>([&](auto side) __attribute__((always_inline)) {
            const auto whole = (IVec)_mm512_load_si512(wholes.sums[r + i] + side * lanes);
            const Vec by = Scaled ? scale * load(scales + side * lanes) : scale;
            store(sums + side * lanes,
                  load(sums + side * lanes) + __builtin_convertvector(whole, Vec) * by);
        });
    });
}

// Sums of 16 or 32 rows.
template <bool Both, bool Scaled>
static void tile_of(const GemmTile & t) {
    constexpr int rows = Both ? 32 : 16;
    Wholes wholes[2]; // of this run and the one before
    const auto * x = reinterpret_cast<const RunRows *>(t.rows);
    const uint32_t * w = t.panel.units;
    const float * scales = t.panel.scales;
    const int64_t runs = t.count / run;
    for (int64_t i = 0; i < runs; ++i, scales += Scaled ? panel : 0) {
        int row = 0; // of the run before, the next one to add: two beside each product
        const auto add = [&]() __attribute__((always_inline)) {
            if (i > 0)
                add_two<Scaled>(t, x[i - 1], wholes[(i - 1) % 2], scales - (Scaled ? panel : 0),
                                row);
            row += 2;
        };
        settle();
        zero_sums();
        for (int64_t s = 0; s < run / step; ++s, w += step / 4 * panel) {
            const int8_t(*values)[step] = x[i].values[s];
            _tile_loadd(6, w, panel_bytes);
            _tile_loadd(4, values, step);
            _tile_dpbssd(0, 4, 6);
            add();
            _tile_loadd(7, w + lanes, panel_bytes);
            _tile_dpbssd(1, 4, 7);
            add();
            if (Both) {
                _tile_loadd(5, values[16], step);
                _tile_dpbssd(2, 5, 6);
                add();
                _tile_dpbssd(3, 5, 7);
                add();
            }
        }
        settle();
        store_sums<Both>(wholes[i % 2].sums, panel_bytes);
        settle();
    }
    for (int row = 0; row < rows; row += 2)
        add_two<Scaled>(t, x[runs - 1], wholes[(runs - 1) % 2], scales - (Scaled ? panel : 0), row);
}

void tile_run_amx(const GemmTile & t, int rows) {
    if (t.panel.scales)
        rows > 16 ? tile_of<true, true>(t) : tile_of<false, true>(t);
    else
        rows > 16 ? tile_of<true, false>(t) : tile_of<false, false>(t);
}

} // namespace ltx2::kernels::LTX2_VARIANT

#endif
