#include "kernels/conv3d_tile.h"

#include "kernels/simd.h"

namespace ltx2::kernels::LTX2_VARIANT {

static constexpr int panel = 2 * lanes;

template <int Stride, int Taps, int Rows>
static void tile_of(const Conv3dTileInput & in, float * sums) {
    Sums<Rows> s;
    load(s, sums, panel);
    const float * w = in.weights;
    for (int line = 0; line < in.lines; ++line) {
        const float * x = in.rows[line];
        for (int64_t c = 0; c < in.channels; ++c, x += in.ld)
            for (int tap = 0; tap < Taps; ++tap, w += panel)
                add_step(s, w, [&](int r) { return x[r * Stride + tap]; });
    }
    store(sums, panel, s);
}

template <int Stride, int Taps>
static Conv3dTileFn tile_for(int rows) {
    switch (rows) {
#if !defined(__x86_64__) || defined(__AVX512F__)
    case 12:
        return tile_of<Stride, Taps, 12>;
    case 8:
        return tile_of<Stride, Taps, 8>;
#endif
    case 6:
        return tile_of<Stride, Taps, 6>;
    default:
        return tile_of<Stride, Taps, 4>;
    }
}
static Conv3dTileFn tile_for(int stride, int taps, int rows) {
    if (taps == 1)
        return stride == 1 ? tile_for<1, 1>(rows) : tile_for<2, 1>(rows);
    return stride == 1 ? tile_for<1, 3>(rows) : tile_for<2, 3>(rows);
}

extern constexpr Conv3dTiles conv3d_kernels = {panel, registers == 32 ? 12 : 6, tile_for};

} // namespace ltx2::kernels::LTX2_VARIANT
