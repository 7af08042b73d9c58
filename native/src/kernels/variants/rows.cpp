#include "kernels/rows.h"

#include "kernels/simd.h"

namespace ltx2::kernels::LTX2_VARIANT {

// x/2 (1 + tanh(u)) = x / (1 + e^(-2u))
static inline Vec gelu_of(Vec x) {
    const Vec u = 0.7978845608f * x * (1.0f + 0.044715f * x * x);
    return x / (1.0f + exp(-2.0f * u));
}

// out = value(at), a vector or part of one at a time: at(p) is the same part of the array p
template <class Value>
static inline void map_row(float * out, int64_t n, const Value & value) {
    int64_t i = 0;
    for (; i + lanes <= n; i += lanes)
        store(out + i, value([i](const float * p) { return load(p + i); }));
    if (const int left = static_cast<int>(n - i))
        store_some(out + i, value([i, left](const float * p) { return load_some(p + i, left); }),
                   left);
}

static void gelu(const float * x, const float * factor, float * out, int64_t n) {
    if (factor)
        map_row(out, n, [&](auto at) { return gelu_of(at(x)) * at(factor); });
    else
        map_row(out, n, [&](auto at) { return gelu_of(at(x)); });
}

static void add(const float * x, const float * branch, const float * gate, float * out, int64_t n) {
    if (gate)
        map_row(out, n, [&](auto at) { return at(x) + at(branch) * at(gate); });
    else
        map_row(out, n, [&](auto at) { return at(x) + at(branch); });
}

// The sum of term(v) over a row's values.
template <class Term>
static inline float sum_of(const float * x, int64_t n, const Term & term) {
    Vec sums[4] = {};
    int64_t i = 0;
    for (; i + 4 * lanes <= n; i += 4 * lanes)
        for (int j = 0; j < 4; ++j)
            sums[j] += term(load(x + i + j * lanes));
    for (; i + lanes <= n; i += lanes)
        sums[0] += term(load(x + i));
    if (const int left = static_cast<int>(n - i)) {
        float last[lanes]; // what lies past the end may have a term as well
        store(last, term(load_some(x + i, left)));
        sums[1] += load_some(last, left);
    }
    return sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

static void norm(const NormRow & r) {
    const float count = static_cast<float>(r.n);
    float mean = 0, factor = 1;
    if (r.norm == Norm::layer)
        mean = sum_of(r.x, r.n, [](Vec v) { return v; }) / count;
    if (r.norm != Norm::none) {
        const float squares = sum_of(r.x, r.n, [mean](Vec v) { return (v - mean) * (v - mean); });
        factor = 1.0f / __builtin_sqrtf(squares / count + r.eps);
    }
    const Vec base = splat(r.base);
    const auto normed = [&](auto at) { return (at(r.x) - mean) * factor; };
    const auto scaled = [&](auto at) { return normed(at) * (base + at(r.scale)); };
    if (r.scale && r.add)
        map_row(r.out, r.n, [&](auto at) { return scaled(at) + at(r.add); });
    else if (r.scale)
        map_row(r.out, r.n, scaled);
    else if (r.add)
        map_row(r.out, r.n, [&](auto at) { return normed(at) + at(r.add); });
    else
        map_row(r.out, r.n, normed);
}

static void rms_silu(const float * x, float * out, int64_t n, float eps) {
    const float mean = dot(x, x, n) / static_cast<float>(n);
    const float scale = 1.0f / __builtin_sqrtf(mean + eps);
    const auto value = [&](Vec v) {
        v *= scale;
        return v / (1.0f + exp(-v));
    };
    map_row(out, n, [&](auto at) { return value(at(x)); });
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

extern constexpr Rows row_kernels = {norm, add, gelu, rms_silu, from_f16, dot};

} // namespace ltx2::kernels::LTX2_VARIANT
