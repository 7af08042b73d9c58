#include "elementwise.h"

#include <algorithm>
#include <cstring>

namespace ltx2::kernels {

// e^x for x <= 88, relative error below 2e-7, without branches so that compilers vectorise it:
// x = n ln2 + r, e^r by its series, 2^n by the exponent bits.
static inline float exp_fast(float x) {
    x = std::max(-87.0f, std::min(88.0f, x));
    // Adding 1.5 * 2^23 rounds to an integer held in the low bits.
    const float magic = 12582912.0f;
    const float shifted = x * 1.44269504f + magic;
    const float n = shifted - magic;
    const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    const int32_t bits = (static_cast<int32_t>(n) + 127) << 23;
    float scale;
    std::memcpy(&scale, &bits, sizeof scale);
    return p * scale;
}

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
