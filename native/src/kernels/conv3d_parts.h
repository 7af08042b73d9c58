// What the two ways of conv3d share: where values come from, and the order of packed weights.
#pragma once

#include "kernels/conv3d.h"
#include "kernels/frames.h"
#include "kernels/node.h"

namespace ltx2::kernels {

// Input channels that lie together in packed weights.
constexpr int64_t conv3d_block = 32;

// Where position `i` of an axis of `n` lies, or -1 for a zero.
int64_t at_border(int64_t i, int64_t n, Border border);

// Where the packed weights of outputs [first_out, first_out + width) and of input channels from
// `first_in`, a block's first, begin. In values.
int64_t packed_offset(const ggml_tensor * weight, int64_t first_out, int64_t width,
                      int64_t first_in);

// One block of one panel as F32, narrow panels filled up with zeros.
void unpack_block(const ggml_tensor * weight, int64_t first_out, int64_t width, int64_t first_in,
                  int64_t channels, float * to);

// By Winograd's way, where it pays: conv3d_winograd.cpp. The floats a thread works in.
bool winograd_pays(const Conv3dCall & call);
size_t plan_winograd(Conv3dPlan & plan);
void run_winograd(Conv3dPlan & plan, int thread);

} // namespace ltx2::kernels
