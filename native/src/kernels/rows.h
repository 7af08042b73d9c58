// Kernels that go over rows of values once.
#pragma once

#include <cstdint>

namespace ltx2::kernels {

struct Rows {
    // GELU in its tanh form, to F32 accuracy.
    void (*gelu)(const float * x, float * out, int64_t n);
    // silu(x / sqrt(mean of x^2 + eps))
    void (*rms_silu)(const float * x, float * out, int64_t n, float eps);
    void (*from_f16)(const uint16_t * x, float * out, int64_t n);
};

} // namespace ltx2::kernels
