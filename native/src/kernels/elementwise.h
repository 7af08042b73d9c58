// CPU kernels that work value by value. Each is called as a ggml custom operation, so that it runs
// under the scheduler beside every backend.
#pragma once

#include "ggml.h"

namespace ltx2::kernels {

// GELU in its tanh form, to F32 accuracy: ggml's CPU operation looks it up in an F16 table, which
// costs three digits. x is F32 and contiguous.
ggml_tensor * gelu_tanh(ggml_context * ctx, ggml_tensor * x);

} // namespace ltx2::kernels
