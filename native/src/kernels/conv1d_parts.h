// What the two ways of convolving over positions share.
#pragma once

#include "kernels/cpu_ops.h"

namespace ltx2::kernels {

// As F32.
void read_conv1d(const ggml_tensor * weight, int64_t first, int64_t count, float * to);

// By Winograd's F(4, 4), where that has fewer multiplications. Not of a few positions, but they
// must not decide: a piece of a sound shall have the bits that it has in the whole.
bool conv1d_winograd_pays(const Conv1dCall & call);
Tensor convolve_1d_winograd(Nodes & g, const Conv1dCall & call);

} // namespace ltx2::kernels
