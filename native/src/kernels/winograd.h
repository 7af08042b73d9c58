// The inner kernels of a convolution by Winograd's F(4x4, 3x3): 6x6 pixels and 3x3 weights become
// 36 values each, whose products, summed over channels and frames, become 4x4 outputs. That is a
// quarter of the multiplications; docs/decisions/0003-winograd.md has the points and the error.
#pragma once

#include <cstdint>

namespace ltx2::kernels {

constexpr int winograd_positions = 36; // of a transformed tile
// Weights are transformed for a third of the positions at a time, so that their sums and the
// weights fit into the L2 cache together.
constexpr int winograd_groups = 3;

// Transformed values lie in groups of Winograd::depth input channels: pixels [depth], weights
// [depth][panel]. Where products are in tiles of BF16, in the same room each as the sum of two:
// pixels [2][depth], weights [depth / 2][2][panel] pairs; channels that a group lacks are zero.
// Where they are of integers of 16 bits: pixels a scale, then [depth] values; weights scales
// [panel], then [depth / 2][panel] pairs, and the rest of the room is not used.

// A panel's weights of a group of channels, F32, F16 or BF16, which lie in parts of packed blocks.
struct WinogradWeights {
    struct Part {
        const void * from; // [frame, row], `line` values apart, in each [channel][column][panel]
        int64_t line;
        int channels;
    } parts[2];
    int ggml_type;
    int channels; // of all parts, at most depth
    int group;
    int frames; // 3, or 1
    bool still; // the sum of the three frames: one frame is all that its outputs see
    float * to; // of position i of the group at i * stride: [frame][depth][panel]
    int64_t stride;
};

// sums[row][panel] += x[block][tap][row][channel] * weights[block][tap][channel][panel], of one
// position. There is room for sums, and something to read, up to a multiple of 16 rows.
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
    int depth;
    int row; // floats of a group's pixels at one position
    // What a thread does before and after its products, or null.
    void (*begin)();
    void (*end)();
    // `channels` at most depth of each of 6x6 pixels; position i goes to to[i * stride].
    void (*input)(const float * const * pixels, int64_t first, int channels, float * to,
                  int64_t stride);
    void (*weights)(const WinogradWeights & weights);
    void (*multiply)(const WinogradProduct & product);
    // sums[i * stride] of `width` outputs -> 4x4 pixels, with bias and, unless null, skip. Where
    // `to` is null there is no pixel.
    void (*output)(const float * sums, int64_t stride, const float * bias,
                   const float * const * skip, float * const * to, int width);
};

// For weights of F32, and for those of 16 bits: beside their own rounding that of sums of two BF16,
// in tiles where there are some, is nothing, and that of integers, with VNNI, about the same as
// F16's and little beside BF16's. Else the same.
struct Winograds {
    Winograd f32, bits16;

    const Winograd & of(int ggml_type) const {
        return ggml_type == 0 ? f32 : bits16; // GGML_TYPE_F32
    }
};

} // namespace ltx2::kernels
