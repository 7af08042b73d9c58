// F32 values -> ggml's types, to the values that ggml's own code gives, many blocks at once.
#pragma once

#include <cstdint>

namespace ltx2::kernels {

// Of `n` values, whole blocks of the type; all finite.
struct Quantise {
    void (*f16)(const float * x, void * out, int64_t n);
    void (*q8_0)(const float * x, void * out, int64_t n);
    void (*q4_k)(const float * x, void * out, int64_t n);
    void (*q5_k)(const float * x, void * out, int64_t n);
    void (*q6_k)(const float * x, void * out, int64_t n);
};

} // namespace ltx2::kernels
