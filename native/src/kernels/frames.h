// CPU kernels of the video VAE beside its convolutions: the norm in front of them, and the shuffles
// between channels and time, rows, columns. Frames are [channels, width, height, frames], F32.
#pragma once

#include "ggml.h"

#include <memory>

namespace ltx2::kernels {

// Frame `t` of the row of frames that `past` (or null) and `x` are.
const float * frame_of(const ggml_tensor * past, const ggml_tensor * x, int64_t t);

// silu(x / sqrt(mean of x^2 over channels + 1e-8)), of the frames of `past` (or null) and of `x`.
ggml_tensor * pixel_norm_silu(ggml_context * ctx, ggml_tensor * past, ggml_tensor * x);

// Must live until the graph has run.
struct Shuffle {
    ggml_tensor * x = nullptr;
    ggml_tensor * skip = nullptr;      // added in its own way, or null
    ggml_tensor * skip_past = nullptr; // frames before those of `skip`, or null
    int64_t skip_first = 0;            // the frame of (skip_past, skip) that belongs to x's first
    int time = 1, space = 1;           // the strides: 1 or 2
    int drop = 0;                      // output frames left out at the front
    ggml_tensor * out = nullptr;
};

// Channel ((c*time + a)*space + b)*space + d goes to channel c of frame offset a, row offset b,
// column offset d. To it `skip` is added, shuffled likewise and its channels repeated as a whole.
std::unique_ptr<Shuffle> depth_to_space(ggml_context * ctx, const Shuffle & what);

// The inverse. To it `skip` is added, shuffled likewise, of each group of its channels the mean.
std::unique_ptr<Shuffle> space_to_depth(ggml_context * ctx, const Shuffle & what);

} // namespace ltx2::kernels
