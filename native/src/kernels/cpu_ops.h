// Our own operations on the CPU, as nodes of a graph: graph/ops.h says what each computes. Every
// sum is taken in one order that depends on the shapes alone, so its bits are the same for any
// number of threads.
#pragma once

#include "kernels/nodes.h"

namespace ltx2::kernels {

Tensor matmul(Nodes & g, const MatmulCall & call);
Tensor attention(Nodes & g, const AttentionCall & call);
Tensor attention_cached(Nodes & g, const AttentionCall & call); // where the call says so
Tensor norm(Nodes & g, const NormCall & call);
Tensor add_gated(Nodes & g, Tensor x, Tensor branch, const TokenRow & gate);
Tensor gelu(Nodes & g, Tensor x, Tensor factor);
Tensor convolve(Nodes & g, const Conv3dCall & call);
Tensor convolve_1d(Nodes & g, const Conv1dCall & call);
Tensor window_keep(Nodes & g, const WindowCall & call, Tensor qkv, int64_t first);
Tensor window_attention(Nodes & g, const WindowCall & call, Tensor ring, int64_t first,
                        int64_t count);
Tensor snake(Nodes & g, const SnakeCall & call);
Tensor pixel_norm_silu(Nodes & g, Tensor past, Tensor x, float eps);
Tensor depth_to_space(Nodes & g, const ShuffleCall & call);
Tensor space_to_depth(Nodes & g, const ShuffleCall & call);
// On the host, F16 or F32.
void pack_conv3d(Tensor weight, const void * values, int64_t first, int64_t count);

} // namespace ltx2::kernels
