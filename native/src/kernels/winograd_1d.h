// The inner kernels of a convolution over positions in a row by Winograd's F(4, 4): seven positions
// and four weights become seven values each, whose products, summed over channels, become four
// outputs; so seven multiplications do the work of sixteen. More than four taps are several fours:
// the seven positions of the next four are those of the next tile, so nothing is transformed twice.
// docs/decisions/0003-winograd.md has the points and the error.
#pragma once

#include <cstdint>

namespace ltx2::kernels {

constexpr int winograd_1d_points = 7, winograd_1d_step = 4; // of a tile; outputs, and taps at once

// A panel's weights of some channels.
struct Winograd1dWeights {
    const float * from; // [channel][tap][panel]
    int taps, channels; // at most Winograd::depth
    float * to;         // of point i at i * stride: [four taps][depth][panel], as Winograd's
    int64_t stride;
};

struct Winograd1d {
    // `channels` at most depth of seven positions, what is negative times `leak`; point i
    // goes to to[i * stride].
    void (*input)(const float * const * positions, int64_t first, int channels, float leak,
                  float * to, int64_t stride);
    void (*weights)(const Winograd1dWeights & weights);
    // sums[i * stride] of `width` outputs -> four positions, with bias and, unless null, skip.
    // Where `to` is null there is no position.
    void (*output)(const float * sums, int64_t stride, const float * bias,
                   const float * const * skip, float * const * to, int width);
};

// As Winograds.
struct Winograds1d {
    Winograd1d f32, bits16;

    const Winograd1d & of(int ggml_type) const {
        return ggml_type == 0 ? f32 : bits16; // GGML_TYPE_F32
    }
};

} // namespace ltx2::kernels
