// CPU kernels of the video VAE beside its convolutions: the norm in front of them, and the shuffles
// between channels and time, rows, columns. Frames are [channels, width, height, frames], F32.
#pragma once

#include "kernels/calls.h"

#include <memory>

namespace ltx2::kernels {

// Frame `t` of the row of frames that `past` (or null) and `x` are.
const float * frame_of(const ggml_tensor * past, const ggml_tensor * x, int64_t t);

// silu(x / sqrt(mean of x^2 over channels + 1e-8)), of the frames of `past` (or null) and of `x`.
ggml_tensor * pixel_norm_silu(ggml_context * ctx, ggml_tensor * past, ggml_tensor * x);

// Must live until the graph has run.
struct ShufflePlan {
    ShuffleCall call;
    ggml_tensor * out = nullptr;
};
std::shared_ptr<ShufflePlan> depth_to_space(ggml_context * ctx, const ShuffleCall & call);
std::shared_ptr<ShufflePlan> space_to_depth(ggml_context * ctx, const ShuffleCall & call);

} // namespace ltx2::kernels
