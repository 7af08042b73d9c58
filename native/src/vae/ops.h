// The video VAE's operations on frames [channels, width, height, frames]: our own kernels or
// ggml's operations, as Device::own_kernels() says.
#pragma once

#include "graph/graph.h"
#include "kernels/conv3d.h"
#include "kernels/frames.h"

namespace ltx2 {

// `call.weight` is packed exactly when the device has own_kernels().
Tensor convolve(Graph & g, const kernels::Conv3dCall & call);
Tensor pixel_norm_silu(Graph & g, Tensor past, Tensor x);
Tensor depth_to_space(Graph & g, const kernels::Shuffle & what);
Tensor space_to_depth(Graph & g, const kernels::Shuffle & what);
// Over all channels and positions of all frames together, as nn.GroupNorm(1, channels).
Tensor whole_norm(Graph & g, Tensor x, Tensor weight, Tensor bias, float eps);

Tensor frames_of(Graph & g, Tensor x, int64_t first, int64_t count); // a view

} // namespace ltx2
