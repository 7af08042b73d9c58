#include "kernels/rows.h"

#include "kernels/simd.h"

namespace ltx2::kernels::LTX2_VARIANT {

// x/2 (1 + tanh(u)) = x / (1 + e^(-2u))
static inline Vec gelu_of(Vec x) {
    const Vec u = 0.7978845608f * x * (1.0f + 0.044715f * x * x);
    return x / (1.0f + exp(-2.0f * u));
}

static void gelu(const float * x, float * out, int64_t n) {
    int64_t i = 0;
    for (; i + lanes <= n; i += lanes)
        store(out + i, gelu_of(load(x + i)));
    if (const int left = static_cast<int>(n - i))
        store_some(out + i, gelu_of(load_some(x + i, left)), left);
}

static float sum_of_squares(const float * x, int64_t n) {
    Vec sums[4] = {};
    int64_t i = 0;
    for (; i + 4 * lanes <= n; i += 4 * lanes)
        for (int j = 0; j < 4; ++j)
            sums[j] += load(x + i + j * lanes) * load(x + i + j * lanes);
    for (; i + lanes <= n; i += lanes)
        sums[0] += load(x + i) * load(x + i);
    const Vec left = load_some(x + i, static_cast<int>(n - i));
    sums[1] += left * left;
    return sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

static void rms_silu(const float * x, float * out, int64_t n, float eps) {
    const float mean = sum_of_squares(x, n) / static_cast<float>(n);
    const float scale = 1.0f / __builtin_sqrtf(mean + eps);
    const auto value = [&](Vec v) {
        v *= scale;
        return v / (1.0f + exp(-v));
    };
    int64_t i = 0;
    for (; i + lanes <= n; i += lanes)
        store(out + i, value(load(x + i)));
    if (const int left = static_cast<int>(n - i))
        store_some(out + i, value(load_some(x + i, left)), left);
}

static void from_f16(const uint16_t * x, float * out, int64_t n) {
    int64_t i = 0;
    for (; i + lanes <= n; i += lanes)
        store(out + i, load_f16(x + i));
    if (const int left = static_cast<int>(n - i)) {
        uint16_t some[lanes] = {};
        std::memcpy(some, x + i, static_cast<size_t>(left) * sizeof *x);
        store_some(out + i, load_f16(some), left);
    }
}

void fill(Rows & rows) {
    rows.gelu = gelu;
    rows.rms_silu = rms_silu;
    rows.from_f16 = from_f16;
}

} // namespace ltx2::kernels::LTX2_VARIANT
