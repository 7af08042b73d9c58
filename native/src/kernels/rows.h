// Kernels that go over rows of values once.
#pragma once

#include <cstdint>

namespace ltx2 {

// What a row is divided by: nothing, sqrt(mean of x^2 + eps), or, once its mean has been taken off,
// sqrt(mean of x^2 + eps).
enum class Norm { none, rms, layer };

namespace kernels {

// out = norm(x) * (base + scale) + add. Without `scale`, times one; without `add`, nothing is
// added; `out` may be `x` or `add`.
struct NormRow {
    const float * x;
    const float * scale;
    const float * add;
    float * out;
    int64_t n;
    Norm norm;
    float eps, base;
};

struct Rows {
    void (*norm)(const NormRow & row);
    // out = x + branch * gate; without `gate` their sum. `out` may be `x` or `branch`.
    void (*add)(const float * x, const float * branch, const float * gate, float * out, int64_t n);
    // GELU in its tanh form, to F32 accuracy; times `factor`, if there is one. `out` may be `x`.
    void (*gelu)(const float * x, const float * factor, float * out, int64_t n);
    // silu(x / sqrt(mean of x^2 + eps))
    void (*rms_silu)(const float * x, float * out, int64_t n, float eps);
    void (*from_f16)(const uint16_t * x, float * out, int64_t n);
    float (*dot)(const float * a, const float * b, int64_t n);
    float (*dot_f16)(const uint16_t * a, const float * b, int64_t n);         // the same sum
    void (*add_times)(const float * x, float factor, float * out, int64_t n); // out += x * factor
    // As ltx2::rotate (files/coding.h), which this is the fast form of. `out` may be `x`.
    void (*rotate)(const float * x, float * out, int64_t n, int64_t group);
};

} // namespace kernels
} // namespace ltx2
