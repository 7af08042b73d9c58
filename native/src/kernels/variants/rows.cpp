#include "kernels/rows.h"

#include "kernels/simd.h"
#include "kernels/variants/transpose.h"

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

static void add_times(const float * x, float factor, float * out, int64_t n) {
    map_row(out, n, [&](auto at) { return at(out) + at(x) * factor; });
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

// ---- ConvRot

// Four numbers, or four vectors of them, times H4.
template <class V>
static inline void times_h4(V & a, V & b, V & c, V & d) {
    const V half = ((a + b) + (c + d)) * 0.5f;
    const V x = half - d, y = half - c, z = half - b;
    d = half - a;
    a = x, b = y, c = z;
}

typedef float Four __attribute__((vector_size(16)));

// Sixteen at a time: a 4 x 4 matrix, whose columns and rows are the strides 4 and 1.
static inline void rotate_16(const float * x, float * out, bool both) {
    Four v[4], t[4];
    std::memcpy(v, x, sizeof v);
    if (both)
        times_h4(v[0], v[1], v[2], v[3]);
    for (int i = 0; i < 4; ++i)
        t[i] = Four{v[0][i], v[1][i], v[2][i], v[3][i]};
    times_h4(t[0], t[1], t[2], t[3]);
    for (int i = 0; i < 4; ++i)
        v[i] = Four{t[0][i], t[1][i], t[2][i], t[3][i]};
    std::memcpy(out, v, sizeof v);
}

#if defined(__AVX512F__)
// Sixteen times sixteen values likewise: a lane has the values of one.
static inline void rotate_256(const float * x, float * out, bool both) {
    __m512i v[16];
    Vec t[16];
    each<16>([&](auto i) { v[i] = (__m512i)load(x + 16 * i); });
    transpose_16(v, [&](int i, __m512i row) { t[i] = (Vec)row; });
    if (both)
        each<4>([&](auto i) { times_h4(t[i], t[4 + i], t[8 + i], t[12 + i]); });
    each<4>([&](auto i) { times_h4(t[4 * i], t[4 * i + 1], t[4 * i + 2], t[4 * i + 3]); });
    each<16>([&](auto i) { v[i] = (__m512i)t[i]; });
    transpose_16(v, [&](int i, __m512i row) { store(out + 16 * i, (Vec)row); });
}
#endif

static void rotate(const float * x, float * out, int64_t n, int64_t group) {
    int64_t first = 0;
#if defined(__AVX512F__)
    for (; first + 256 <= n; first += 256)
        rotate_256(x + first, out + first, group >= 16);
#endif
    for (; first + 16 <= n; first += 16)
        rotate_16(x + first, out + first, group >= 16);
    for (; first < n; first += 4) { // groups of 4
        std::memcpy(out + first, x + first, 4 * sizeof *x);
        times_h4(out[first], out[first + 1], out[first + 2], out[first + 3]);
    }
    for (int64_t stride = 16; stride < group; stride *= 4)
        for (first = 0; first < n; first += 4 * stride)
            for (int64_t i = first; i < first + stride; i += lanes) {
                Vec a = load(out + i), b = load(out + i + stride), c = load(out + i + 2 * stride),
                    d = load(out + i + 3 * stride);
                times_h4(a, b, c, d);
                store(out + i, a), store(out + i + stride, b);
                store(out + i + 2 * stride, c), store(out + i + 3 * stride, d);
            }
}

static float dot_f16(const uint16_t * a, const float * b, int64_t n) {
    const auto load_a = [a](int64_t at, int count) {
        if (count == lanes)
            return load_f16(a + at);
        uint16_t some[lanes] = {};
        std::memcpy(some, a + at, static_cast<size_t>(count) * sizeof *a);
        return load_f16(some);
    };
    return dot_of(load_a, b, n);
}

extern constexpr Rows row_kernels = {norm, add,     gelu,      rms_silu, from_f16,
                                     dot,  dot_f16, add_times, rotate};

} // namespace ltx2::kernels::LTX2_VARIANT
