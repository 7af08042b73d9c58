#include "elementwise.h"

#include "exp.h"

namespace ltx2::kernels {

static void gelu_tanh_rows(ggml_tensor * dst, const ggml_tensor * src, int ith, int nth, void *) {
    const int64_t rows = ggml_nrows(src), width = src->ne[0];
    const int64_t first = rows * ith / nth, last = rows * (ith + 1) / nth;
    const float * in = static_cast<const float *>(src->data) + first * width;
    float * out = static_cast<float *>(dst->data) + first * width;
    for (int64_t i = 0; i < (last - first) * width; ++i) {
        const float x = in[i];
        // x/2 (1 + tanh(u)) = x / (1 + e^(-2u))
        const float u = 0.7978845608f * x * (1.0f + 0.044715f * x * x);
        out[i] = x / (1.0f + exp_fast(-2.0f * u));
    }
}

ggml_tensor * gelu_tanh(ggml_context * ctx, ggml_tensor * x) {
    return ggml_map_custom1(ctx, x, gelu_tanh_rows, GGML_N_TASKS_MAX, nullptr);
}

} // namespace ltx2::kernels
