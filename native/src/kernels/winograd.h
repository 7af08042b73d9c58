// The inner kernels of a convolution by Winograd's F(4x4, 3x3): 6x6 pixels and 3x3 weights become
// 36 values each, whose products, summed over channels and frames, become 4x4 outputs. That is a
// quarter of the multiplications; docs/decisions/0003-winograd.md has the points and the error.
#pragma once

#include <cstdint>

namespace ltx2::kernels {

// Positions of a transformed tile, and input channels that lie together in transformed pixels and
// weights.
constexpr int winograd_positions = 36, winograd_depth = 16;
// Weights are transformed for a third of the positions at a time, so that their sums and the
// weights fit into the L2 cache together.
constexpr int winograd_groups = 3;

// A panel's weights of some channels, F16 or F32.
struct WinogradWeights {
    const void * from; // [frame, row], `line` values apart, in each [channel][column][panel]
    bool half;
    int64_t line;
    int channels; // at most winograd_depth
    int group;
    int frames; // 3, or 1
    bool still; // the sum of the three frames: one frame is all that its outputs see
    float * to; // of position i of the group at i * stride: [frame][winograd_depth][panel]
    int64_t stride;
};

// sums[row][panel] += x[block][tap][row][channel] * weights[block][tap][channel][panel], of one
// position.
struct WinogradProduct {
    const float * x;
    int64_t next_block, next_tap; // in x
    int64_t blocks;
    int last_depth; // channels of the last block
    int taps;
    const float * weights;
    float * sums;
    int64_t rows;
    bool first; // the sums start from zero
};

struct Winograd {
    int panel; // output channels
    // `channels` at most winograd_depth of each of 6x6 pixels; position i goes to to[i * stride].
    void (*input)(const float * const * pixels, int64_t first, int channels, float * to,
                  int64_t stride);
    void (*weights)(const WinogradWeights & weights);
    void (*multiply)(const WinogradProduct & product);
    // sums[i * stride] of `width` outputs -> 4x4 pixels, with bias and, unless null, skip. Where
    // `to` is null there is no pixel.
    void (*output)(const float * sums, int64_t stride, const float * bias,
                   const float * const * skip, float * const * to, int width);
};

} // namespace ltx2::kernels
