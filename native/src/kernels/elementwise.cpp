#include "elementwise.h"

#include "variant.h"

namespace ltx2::kernels {

static void gelu_tanh_rows(ggml_tensor * dst, const ggml_tensor * src, int ith, int nth, void *) {
    const int64_t rows = ggml_nrows(src), width = src->ne[0];
    const int64_t first = rows * ith / nth, last = rows * (ith + 1) / nth;
    const float * in = static_cast<const float *>(src->data) + first * width;
    float * out = static_cast<float *>(dst->data) + first * width;
    variant().rows.gelu(in, out, (last - first) * width);
}

ggml_tensor * gelu_tanh(ggml_context * ctx, ggml_tensor * x) {
    return ggml_map_custom1(ctx, x, gelu_tanh_rows, GGML_N_TASKS_MAX, nullptr);
}

} // namespace ltx2::kernels
