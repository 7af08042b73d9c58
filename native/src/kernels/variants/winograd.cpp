#include "kernels/variants/winograd_parts.h"

#include "ggml.h"

namespace ltx2::kernels::LTX2_VARIANT {

static constexpr int panel = 2 * lanes;

// The points in their order: 0, infinity, p, -p, q, -q. These two give a quarter of the error of 1
// and 2.
static constexpr float p = 0.625f, q = 1.5f, p2 = p * p, q2 = q * q;

// Six values of a line of pixels, `Step` apart.
template <int Step>
static inline void transform_input(const Vec * d, Vec * to) {
    const Vec d0 = d[0], d1 = d[Step], d2 = d[2 * Step], d3 = d[3 * Step], d4 = d[4 * Step],
              d5 = d[5 * Step];
    const Vec even_p = d4 - q2 * d2, odd_p = p * (d3 - q2 * d1);
    const Vec even_q = d4 - p2 * d2, odd_q = q * (d3 - p2 * d1);
    to[0] = (d4 - (p2 + q2) * d2) + (p2 * q2) * d0;
    to[Step] = (d5 - (p2 + q2) * d3) + (p2 * q2) * d1;
    to[2 * Step] = even_p + odd_p;
    to[3 * Step] = even_p - odd_p;
    to[4 * Step] = even_q + odd_q;
    to[5 * Step] = even_q - odd_q;
}

static inline void input_of(const float * const * pixels, int64_t from, float * to, int64_t stride,
                            int count) {
    Vec d[36];
    each<6>([&](auto x) {
        each<6>([&](auto y) { d[6 * y + x] = read(pixels[6 * y + x] + from, count); });
        transform_input<6>(d + x, d + x);
    });
    each<6>([&](auto y) {
        Vec out[6];
        transform_input<1>(d + 6 * y, out);
        each<6>([&](auto x) { store(to + (6 * y + x) * stride, out[x]); });
    });
}

template <Form F>
static void input(const float * const * pixels, int64_t first, int channels, float * to,
                  int64_t stride) {
    pack_pixels<F, winograd_positions>(channels, to, stride, [=](float * out, int64_t apart) {
        by_vectors(channels, [=](int at, int count) {
            input_of(pixels, first + at, out + at, apart, count);
        });
    });
}

// Three weights of a line -> the values at two points.
template <int Group>
static inline void transform_weights(Vec g0, Vec g1, Vec g2, Vec * to, int step) {
    if (Group == 0) {
        to[0] = g0 * (1 / (p2 * q2));
        to[step] = g2;
        return;
    }
    constexpr float at = Group == 1 ? p : q, at2 = at * at, other2 = Group == 1 ? q2 : p2;
    constexpr float scale = 1 / (2 * at2 * (at2 - other2));
    const Vec even = g0 * scale + g2 * (at2 * scale), odd = g1 * (at * scale);
    to[0] = even + odd;
    to[step] = even - odd;
}

static inline Vec load_weights(const float * from) { return load(from); }
static inline Vec load_weights(const uint16_t * from) { return load_f16(from); }
namespace {
struct Bf16 {
    uint16_t bits;
};
} // namespace
static inline Vec load_weights(const Bf16 * from) { return load_bf16(from); }

template <int Group, bool Still, class T>
static inline void weights_of(const T * from, int64_t line, float * to, int64_t stride) {
    Vec columns[6]; // [line of two][column of three]
    const auto weight = [&](int64_t y, int x) {
        Vec g = load_weights(from + y * line + x * panel);
        if (Still)
            g = (g + load_weights(from + (3 + y) * line + x * panel)) +
                load_weights(from + (6 + y) * line + x * panel);
        return g;
    };
    for (int x = 0; x < 3; ++x)
        transform_weights<Group>(weight(0, x), Group ? weight(1, x) : Vec{}, weight(2, x),
                                 columns + x, 3);
    for (int y = 0; y < 2; ++y) {
        const Vec * g = columns + 3 * y;
        Vec out[6];
        transform_weights<0>(g[0], g[1], g[2], out, 1);
        transform_weights<1>(g[0], g[1], g[2], out + 2, 1);
        transform_weights<2>(g[0], g[1], g[2], out + 4, 1);
        each<6>([&](auto x) { store(to + (6 * y + x) * stride, out[x]); });
    }
}

template <Form F, int Group, class T>
static void weights_of(const WinogradWeights & w) {
    for (int frame = 0; frame < (w.still ? 1 : w.frames); ++frame) {
        float * to = w.to + frame * depth<F> * panel;
        int left = w.channels;
        for (const WinogradWeights::Part * part = w.parts; left > 0; left -= part++->channels) {
            const T * from = static_cast<const T *>(part->from) + frame * 3 * part->line;
            for (int c = 0; c < part->channels; ++c, from += 3 * panel, to += panel)
                for (int half = 0; half < panel; half += lanes) {
                    if (w.still)
                        weights_of<Group, true>(from + half, part->line, to + half, w.stride);
                    else
                        weights_of<Group, false>(from + half, part->line, to + half, w.stride);
                }
        }
    }
}

template <Form F, class T>
static void weights_of(const WinogradWeights & w) {
    w.group == 0   ? weights_of<F, 0, T>(w)
    : w.group == 1 ? weights_of<F, 1, T>(w)
                   : weights_of<F, 2, T>(w);
}

template <Form F>
static void weights(const WinogradWeights & w) {
    w.ggml_type == GGML_TYPE_F32   ? weights_of<F, float>(w)
    : w.ggml_type == GGML_TYPE_F16 ? weights_of<F, uint16_t>(w)
                                   : weights_of<F, Bf16>(w);
    for (int i = 0; i < winograd_positions / winograd_groups; ++i)
        for (int frame = 0; frame < (w.still ? 1 : w.frames); ++frame)
            pack_weights<F>(w.to + i * w.stride + frame * depth<F> * panel, w.channels);
}

template <int Rows>
static void rows_of(const WinogradProduct & product, const float * x, float * sums) {
    Sums<Rows> s = {};
    if (!product.first)
        load(s, sums, panel);
    const float * block_weights = product.weights;
    for (int64_t block = 0; block < product.blocks; ++block, x += product.next_block) {
        const int channels = block + 1 < product.blocks ? depth<Form::vectors> : product.last_depth;
        const float * at = x;
        for (int tap = 0; tap < product.taps; ++tap, at += product.next_tap) {
            const float * w = block_weights;
            LTX2_UNROLL_STEPS
            for (int c = 0; c < channels; ++c, w += panel)
                add_step(s, w, [&](int r) { return at[r * depth<Form::vectors> + c]; });
            block_weights += depth<Form::vectors> * panel;
        }
    }
    store(sums, panel, s);
}

// Blocks of nearly equal height: a low one would leave multipliers idle.
template <int Most, class F>
static inline void by_blocks(const WinogradProduct & product, int row, const F & rows_of) {
    const int64_t blocks = (product.rows + Most - 1) / Most;
    for (int64_t b = 0; b < blocks; ++b) {
        const int64_t first = product.rows * b / blocks;
        const int64_t rows = product.rows * (b + 1) / blocks - first;
        with_count<Most>(static_cast<int>(rows), [&](auto r) {
            rows_of(r, product.x + first * row, product.sums + first * panel);
        });
    }
}

static void multiply(const WinogradProduct & product) {
    by_blocks<registers == 32 ? 12 : 6>(
        product, row<Form::vectors>,
        [&](auto r, const float * x, float * sums) { rows_of<r>(product, x, sums); });
}

#if defined(__AMX_BF16__)

// Sums of 16 or 32 rows: three products of either side's high parts and what these leave, the one
// of both rests being too small to count.
template <bool Both>
static void tiles_of(const WinogradProduct & product, const float * x, float * sums) {
    constexpr int64_t row = depth<Form::tiles> * 4,
                      line = panel * 4; // bytes; of weights every other one
    settle();
    if (product.first)
        zero_sums();
    else
        load_sums<Both>(sums, line);
    const float * w = product.weights;
    for (int64_t block = 0; block < product.blocks; ++block, x += product.next_block)
        for (int tap = 0; tap < product.taps; ++tap, w += depth<Form::tiles> * panel) {
            const float * at = x + tap * product.next_tap;
            const auto add = [&](int x_plane, int w_plane) {
                add_pairs<Both>(at + x_plane * lanes, row, w + w_plane * panel, 2 * line);
            };
            add(1, 0);
            add(0, 1);
            add(0, 0);
        }
    store_sums<Both>(sums, line);
    settle();
}

static void multiply_tiles(const WinogradProduct & product) {
    for (int64_t first = 0; first < product.rows; first += 32) {
        const float * x = product.x + first * depth<Form::tiles>;
        float * sums = product.sums + first * panel;
        product.rows - first > 16 ? tiles_of<true>(product, x, sums)
                                  : tiles_of<false>(product, x, sums);
    }
}

#elif defined(__AVX512VNNI__) || defined(__AVXVNNI__)

// The sums of integers over a group of channels stay in registers, and become F32 in memory.
template <int Rows>
static void rows_of_pairs(const WinogradProduct & product, const float * x, float * sums) {
    for (int i = 0; product.first && i < Rows * panel; i += lanes)
        store(sums + i, Vec{});
    const float * w = product.weights;
    for (int64_t block = 0; block < product.blocks; ++block, x += product.next_block) {
        const int channels = block + 1 < product.blocks ? depth<Form::pairs> : product.last_depth;
        const float * at = x;
        for (int tap = 0; tap < product.taps; ++tap, at += product.next_tap) {
            IVec low[Rows] = {}, high[Rows] = {};
            const auto * units = reinterpret_cast<const uint32_t *>(w) + panel;
            const auto * pixels = reinterpret_cast<const uint32_t *>(at) + 1;
            LTX2_UNROLL_STEPS
            for (int i = 0; i < (channels + 1) / 2; ++i, units += panel) {
                const IVec w0 = load_units(units), w1 = load_units(units + lanes);
                each<Rows>([&](auto r) __attribute__((always_inline)) {
                    const IVec v = splat_unit(pixels[r * row<Form::pairs> + i]);
                    low[r] = dot<2>(low[r], w0, v);
                    high[r] = dot<2>(high[r], w1, v);
                });
            }
            const Vec d0 = load(w), d1 = load(w + lanes);
            each<Rows>([&](auto r) __attribute__((always_inline)) {
                const float scale = at[r * row<Form::pairs>];
                float * to = sums + r * panel;
                store(to, load(to) + __builtin_convertvector(low[r], Vec) * (d0 * scale));
                store(to + lanes,
                      load(to + lanes) + __builtin_convertvector(high[r], Vec) * (d1 * scale));
            });
            w += depth<Form::pairs> * panel;
        }
    }
}

static void multiply_pairs(const WinogradProduct & product) {
    by_blocks<registers == 32 ? 7 : 5>(
        product, row<Form::pairs>,
        [&](auto r, const float * x, float * sums) { rows_of_pairs<r>(product, x, sums); });
}

#endif

// Six sums of a line -> four outputs.
static inline void transform_output(const Vec * m, int step, Vec * to, int to_step) {
    const Vec even_p = m[2 * step] + m[3 * step], odd_p = m[2 * step] - m[3 * step];
    const Vec even_q = m[4 * step] + m[5 * step], odd_q = m[4 * step] - m[5 * step];
    to[0] = (m[0] + even_p) + even_q;
    to[to_step] = p * odd_p + q * odd_q;
    to[2 * to_step] = p2 * even_p + q2 * even_q;
    to[3 * to_step] = (m[step] + (p2 * p) * odd_p) + (q2 * q) * odd_q;
}

static inline void output_of(const float * sums, int64_t stride, const float * bias,
                             const float * const * skip, float * const * to, int64_t at,
                             int count) {
    Vec lines[24];
    each<6>([&](auto x) {
        Vec m[6];
        each<6>([&](auto y) { m[y] = load(sums + (6 * y + x) * stride + at); });
        transform_output(m, 1, lines + x, 6);
    });
    const Vec b = read(bias + at, count);
    for (int y = 0; y < 4; ++y) {
        Vec out[4];
        transform_output(lines + 6 * y, 1, out, 1);
        for (int x = 0; x < 4; ++x) {
            float * pixel = to[4 * y + x];
            if (!pixel)
                continue;
            Vec value = out[x] + b;
            if (skip)
                value += read(skip[4 * y + x] + at, count);
            write(pixel + at, value, count);
        }
    }
}

static void output(const float * sums, int64_t stride, const float * bias,
                   const float * const * skip, float * const * to, int width) {
    by_vectors(width,
               [=](int at, int count) { output_of(sums, stride, bias, skip, to, at, count); });
}

template <Form F>
constexpr Winograd with(void (*begin)(), void (*end)(), void (*multiply)(const WinogradProduct &)) {
    return {panel, depth<F>, row<F>, begin, end, input<F>, weights<F>, multiply, output};
}
constexpr Winograd in_vectors = with<Form::vectors>(nullptr, nullptr, multiply);
extern constexpr Winograds winograd_kernels = {
    in_vectors,
#if defined(__AMX_BF16__)
    with<Form::tiles>(begin_tiles, end_tiles, multiply_tiles),
#elif defined(__AVX512VNNI__) || defined(__AVXVNNI__)
    with<Form::pairs>(nullptr, nullptr, multiply_pairs),
#else
    in_vectors,
#endif
};

} // namespace ltx2::kernels::LTX2_VARIANT
