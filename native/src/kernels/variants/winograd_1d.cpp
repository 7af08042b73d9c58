#include "kernels/winograd_1d.h"

#include "kernels/variants/winograd_parts.h"

namespace ltx2::kernels::LTX2_VARIANT {

static constexpr int panel = 2 * lanes, points = winograd_1d_points;

// The points in their order: p, -p, q, -q, r, -r, infinity. Of eighths up to 21/8 these give the
// smallest error.
static constexpr float p = 0.25f, q = 0.875f, r = 1.75f;
static constexpr float p2 = p * p, q2 = q * q, r2 = r * r;

// The values at +-at; a2 and b2 are the squares of the other points.
static inline void at_points(const Vec * d, float at, float a2, float b2, Vec * to) {
    const Vec odd = (d[5] - (a2 + b2) * d[3]) + (a2 * b2) * d[1];
    const Vec even = at * ((d[4] - (a2 + b2) * d[2]) + (a2 * b2) * d[0]);
    to[0] = odd + even;
    to[1] = odd - even;
}

static inline void input_of(const float * const * positions, int64_t from, float leak, float * to,
                            int64_t stride, int count) {
    const Vec zero = {};
    Vec d[points], out[points];
    each<points>([&](auto i) {
        const Vec x = read(positions[i] + from, count);
        d[i] = x + (leak - 1) * min(x, zero); // NaN stays
    });
    at_points(d, p, q2, r2, out);
    at_points(d, q, p2, r2, out + 2);
    at_points(d, r, p2, q2, out + 4);
    out[6] = (d[6] - (p2 + q2 + r2) * d[4]) +
             ((p2 * q2 + p2 * r2 + q2 * r2) * d[2] - (p2 * q2 * r2) * d[0]);
    each<points>([&](auto i) { store(to + i * stride, out[i]); });
}

template <Form F>
static void input(const float * const * positions, int64_t first, int channels, float leak,
                  float * to, int64_t stride) {
    pack_pixels<F, points>(channels, to, stride, [=](float * out, int64_t apart) {
        by_vectors(channels, [=](int at, int count) {
            input_of(positions, first + at, leak, out + at, apart, count);
        });
    });
}

static inline void weights_at(const Vec * g, float at, float a2, float b2, float * to,
                              int64_t stride) {
    const float at2 = at * at, scale = 1 / (2 * (at2 - a2) * (at2 - b2));
    const Vec even = (scale / at) * g[0] + (scale * at) * g[2];
    const Vec odd = scale * g[1] + (scale * at2) * g[3];
    store(to, odd + even);
    store(to + stride, odd - even);
}

template <Form F>
static void weights(const Winograd1dWeights & w) {
    for (int four = 0; four * winograd_1d_step < w.taps; ++four)
        for (int c = 0; c < w.channels; ++c)
            for (int half = 0; half < panel; half += lanes) {
                const float * from = w.from + (c * w.taps + four * 4) * panel + half;
                float * to = w.to + (four * depth<F> + c) * panel + half;
                Vec g[4];
                for (int i = 0; i < 4; ++i)
                    g[i] = four * 4 + i < w.taps ? load(from + i * panel) : Vec{};
                weights_at(g, p, q2, r2, to, w.stride);
                weights_at(g, q, p2, r2, to + 2 * w.stride, w.stride);
                weights_at(g, r, p2, q2, to + 4 * w.stride, w.stride);
                store(to + 6 * w.stride, g[3]);
            }
    for (int i = 0; i < points; ++i)
        for (int four = 0; four * winograd_1d_step < w.taps; ++four)
            pack_weights<F>(w.to + i * w.stride + four * depth<F> * panel, w.channels);
}

static inline void output_of(const float * sums, int64_t stride, const float * bias,
                             const float * const * skip, float * const * to, int64_t at,
                             int count) {
    Vec m[points];
    each<points>([&](auto i) { m[i] = load(sums + i * stride + at); });
    const Vec even_p = m[0] + m[1], even_q = m[2] + m[3], even_r = m[4] + m[5];
    const Vec odd_p = m[0] - m[1], odd_q = m[2] - m[3], odd_r = m[4] - m[5];
    const Vec out[4] = {(even_p + even_q) + even_r, (p * odd_p + q * odd_q) + r * odd_r,
                        (p2 * even_p + q2 * even_q) + r2 * even_r,
                        ((p2 * p) * odd_p + (q2 * q) * odd_q) + ((r2 * r) * odd_r + m[6])};
    const Vec b = read(bias + at, count);
    each<4>([&](auto i) {
        if (!to[i])
            return;
        Vec value = out[i] + b;
        if (skip)
            value += read(skip[i] + at, count);
        write(to[i] + at, value, count);
    });
}

static void output(const float * sums, int64_t stride, const float * bias,
                   const float * const * skip, float * const * to, int width) {
    by_vectors(width,
               [=](int at, int count) { output_of(sums, stride, bias, skip, to, at, count); });
}

template <Form F>
constexpr Winograd1d transforms = {input<F>, weights<F>, output};
extern constexpr Winograds1d winograd_1d_kernels = {transforms<Form::vectors>,
                                                    transforms<form_of_16_bits>};

} // namespace ltx2::kernels::LTX2_VARIANT
