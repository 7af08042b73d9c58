// The inner kernel of conv3d: some positions of a row times one panel of output channels, all sums
// in registers.
#pragma once

#include <cstdint>

namespace ltx2::kernels {

// One block of input channels. `rows`: `lines` planes (of one frame and row each) of [channels][ld]
// positions; weights [lines][channels][taps][panel].
struct Conv3dTileInput {
    const float * const * rows;
    int lines;
    int64_t channels, ld;
    const float * weights;
};
using Conv3dTileFn = void (*)(const Conv3dTileInput &,
                              float * sums); // [positions][panel], added to

struct Conv3dTiles {
    int panel;     // output channels
    int most_rows; // positions that one call takes at most
    // stride 1 or 2, taps of a line 1 or 3, rows 4, 6, 8 or 12
    Conv3dTileFn (*tile_for)(int stride, int taps, int rows);
};

} // namespace ltx2::kernels
