// Convolutions over time, rows and columns on the CPU, with F32 sums over F32 activations and F32,
// F16 or BF16 weights: by Winograd's F(4x4, 3x3) where that pays, else as an implicit matrix
// product. Borders are added while the input is laid out, so there is no padded copy. Every output
// is summed in one order that depends on the layer and the size of a frame alone: a value is the
// same bits wherever its window begins.
#include "base/error.h"
#include "kernels/conv3d_parts.h"
#include "kernels/cpu_ops.h"
#include "kernels/variant.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace ltx2::kernels {

// The panel's weights and a row's values of one block stay in the L1 and L2 caches. The order
// of sums depends on it, and on nothing else.
static constexpr int64_t block = conv3d_block;

static int panel_width() { return variant().conv3d.panel; }

// Packed: panels of output channels (the last one narrower), in each the blocks of input channels,
// in each [line][channel][tap][output], where a line is a tap's frame and row.
template <class T>
static void pack(const T * plain, int64_t in, int64_t outputs, int64_t taps, T * to) {
    const int64_t panel = panel_width();
    const int64_t line_taps = taps == 1 ? 1 : 3;
    for (int64_t o = 0; o < outputs; o += panel)
        for (int64_t i0 = 0; i0 < in; i0 += block)
            for (int64_t line = 0; line < taps / line_taps; ++line)
                for (int64_t i = i0; i < std::min(in, i0 + block); ++i)
                    for (int64_t tap = 0; tap < line_taps; ++tap)
                        for (int64_t n = o; n < std::min(outputs, o + panel); ++n)
                            *to++ = plain[(n * in + i) * taps + line * line_taps + tap];
}

void pack_conv3d(ggml_tensor * weight, const void * values, int64_t first, int64_t count) {
    const int64_t in = weight->ne[0], taps = weight->ne[2], before = first * in * taps;
    if (weight->type != GGML_TYPE_F32)
        pack(static_cast<const uint16_t *>(values), in, count, taps,
             static_cast<uint16_t *>(weight->data) + before);
    else
        pack(static_cast<const float *>(values), in, count, taps, floats(weight) + before);
}

int64_t packed_offset(const ggml_tensor * weight, int64_t first_out, int64_t width,
                      int64_t first_in) {
    return (first_out * weight->ne[0] + first_in * width) * weight->ne[2];
}

void unpack_block(const ggml_tensor * weight, int64_t first_out, int64_t width, int64_t first_in,
                  int64_t channels, float * to) {
    const int64_t taps = weight->ne[2];
    const int64_t offset = packed_offset(weight, first_out, width, first_in);
    const int64_t panel = panel_width(), rows = channels * taps;
    const auto convert = [&](int64_t from, int64_t count, float * values) {
        if (weight->type == GGML_TYPE_F16)
            variant().rows.from_f16(static_cast<const uint16_t *>(weight->data) + from, values,
                                    count);
        else if (weight->type == GGML_TYPE_BF16)
            ggml_bf16_to_fp32_row(static_cast<const ggml_bf16_t *>(weight->data) + from, values,
                                  count);
        else
            std::copy_n(floats(weight) + from, count, values);
    };
    if (width == panel)
        return convert(offset, rows * panel, to);
    for (int64_t k = 0; k < rows; ++k, to += panel) {
        convert(offset + k * width, width, to);
        std::fill(to + width, to + panel, 0.0f);
    }
}

int64_t at_border(int64_t i, int64_t n, Border border) {
    if (i >= 0 && i < n)
        return i;
    if (i > n)
        return -1;
    switch (border) {
    case Border::zeros:
        return -1;
    case Border::reflect:
        return i < 0 ? -i : 2 * (n - 1) - i;
    case Border::replicate:
        return i < 0 ? 0 : n - 1;
    case Border::circular:
        return i < 0 ? i + n : i - n;
    }
    return -1;
}

// One line of the input, [positions][channels] -> [channels][ld], with its borders.
static void lay_out(const Conv3dPlan & p, const float * frame, int64_t row, int64_t first_x,
                    int64_t first_in, int64_t channels, int64_t ld, float * to) {
    const int64_t width = p.call.x->ne[1], height = p.call.x->ne[2];
    const int64_t y = at_border(row, height, p.call.border);
    if (y < 0) {
        std::fill_n(to, channels * ld, 0.0f);
        return;
    }
    for (int64_t i = 0; i < ld; ++i) {
        const int64_t x = at_border(first_x + i, width, p.call.border);
        if (x < 0) {
            for (int64_t c = 0; c < channels; ++c)
                to[c * ld + i] = 0.0f;
        } else {
            const float * from = frame + (y * width + x) * p.in + first_in;
            for (int64_t c = 0; c < channels; ++c)
                to[c * ld + i] = from[c];
        }
    }
}

namespace {
// One piece of work: a rectangle of one output frame, some panels of output channels.
struct Piece {
    int64_t t, x, y, width, height, first_panel, last_panel;
};
} // namespace

static Piece piece_at(const Conv3dPlan & p, int64_t index) {
    Piece piece;
    piece.first_panel = index % p.direct.tiles_out * p.direct.tile_panels;
    index /= p.direct.tiles_out;
    piece.x = index % p.direct.tiles_x * p.direct.tile_width;
    index /= p.direct.tiles_x;
    piece.y = index % p.direct.tiles_y * p.direct.tile_height;
    piece.t = index / p.direct.tiles_y;
    piece.width = std::min(p.direct.tile_width, p.out->ne[1] - piece.x);
    piece.height = std::min(p.direct.tile_height, p.out->ne[2] - piece.y);
    const int64_t panels = p.panels();
    piece.last_panel = std::min(panels, piece.first_panel + p.direct.tile_panels);
    return piece;
}

static int64_t line_length(const Conv3dPlan & p) {
    return (round_up(p.direct.tile_width, p.direct.tile_rows) - 1) * p.call.stride_space +
           p.call.kernel;
}
static int64_t lines_of(const Conv3dPlan & p) {
    return (p.direct.tile_height - 1) * p.call.stride_space + p.call.kernel;
}

// The sums so far of a row's positions and one panel, from the output tensor (at first: the bias)
// into `sums`, or back (at last: with the skip added).
static void read_sums(const Conv3dPlan & p, const float * out, int64_t count, int64_t first_out,
                      int64_t width, bool first, float * sums) {
    const int64_t panel = panel_width();
    const float * bias = floats(p.call.bias) + first_out;
    for (int64_t m = 0; m < count; ++m)
        std::copy_n(first ? bias : out + m * p.outputs + first_out, width, sums + m * panel);
}
static void write_sums(const Conv3dPlan & p, float * out, const float * skip, int64_t count,
                       int64_t first_out, int64_t width, const float * sums) {
    const int64_t panel = panel_width();
    for (int64_t m = 0; m < count; ++m) {
        float * to = out + m * p.outputs + first_out;
        const float * add = skip ? skip + m * p.outputs + first_out : nullptr;
        for (int64_t n = 0; n < width; ++n)
            to[n] = sums[m * panel + n] + (add ? add[n] : 0.0f);
    }
}

static void add_block(const Conv3dPlan & p, const Piece & piece, int64_t first_in,
                      float * scratch) {
    const Conv3dCall & call = p.call;
    const int64_t channels = std::min(block, p.in - first_in);
    const int64_t ld = line_length(p), lines = lines_of(p), k = call.kernel, s = call.stride_space;
    const int64_t frames = call.kernel_time(); // that an output sees
    const int64_t panel = panel_width();
    float * laid = scratch;
    float * weights = laid + frames * lines * block * ld;
    float * sums = weights + call.weight->ne[2] * block * panel;
    for (int64_t dt = 0; dt < frames; ++dt) {
        const float * frame = input_frame(call, piece.t * call.stride_time + dt - call.before);
        for (int64_t line = 0; line < (piece.height - 1) * s + k; ++line)
            lay_out(p, frame, piece.y * s + line - k / 2 - call.up, piece.x * s - k / 2 - call.left,
                    first_in, channels, ld, laid + (dt * lines + line) * block * ld);
    }
    const Conv3dTileFn tile =
        variant().conv3d.tile_for(static_cast<int>(s), static_cast<int>(k), p.direct.tile_rows);
    const bool first = first_in == 0, last = first_in + channels == p.in;
    const float * rows[9];
    for (int64_t n = piece.first_panel; n < piece.last_panel; ++n) {
        const int64_t width = std::min(panel, p.outputs - n * panel);
        unpack_block(call.weight, n * panel, width, first_in, channels, weights);
        for (int64_t y = 0; y < piece.height; ++y) {
            const int64_t row = (piece.y + y) * p.out->ne[1] + piece.x;
            const int64_t frame = p.out->ne[1] * p.out->ne[2];
            float * out = floats(p.out) + (piece.t * frame + row) * p.outputs;
            const float * skip = last ? skip_frame(call, piece.t) : nullptr;
            if (skip)
                skip += row * p.outputs;
            for (int64_t x = 0; x < piece.width; x += p.direct.tile_rows) {
                for (int64_t line = 0; line < frames * k; ++line)
                    rows[line] = laid + (line / k * lines + y * s + line % k) * block * ld + x * s;
                const int64_t count = std::min<int64_t>(p.direct.tile_rows, piece.width - x);
                read_sums(p, out + x * p.outputs, count, n * panel, width, first, sums);
                tile({rows, static_cast<int>(frames * k), channels, ld, weights}, sums);
                write_sums(p, out + x * p.outputs, skip ? skip + x * p.outputs : nullptr, count,
                           n * panel, width, sums);
            }
        }
    }
}

static void run_direct(Conv3dPlan & p, Tensor, int thread, int) {
    const int64_t pieces =
        p.direct.tiles_x * p.direct.tiles_y * p.direct.tiles_t * p.direct.tiles_out;
    float * scratch = p.workers.room(thread);
    for (int64_t i; (i = p.next.fetch_add(1)) < pieces;) {
        const Piece piece = piece_at(p, i);
        for (int64_t in = 0; in < p.in; in += block)
            add_block(p, piece, in, scratch);
    }
}

// The inner kernel that wastes the fewest positions; a longer one where two are equal.
static int choose_rows(int64_t width) {
    int best = 4;
    for (int rows : {6, 8, 12}) {
        const auto cost = [&](int r) { return divide_up(width, r) * (r + 1); };
        if (rows <= variant().conv3d.most_rows && cost(rows) <= cost(best))
            best = rows;
    }
    return best;
}

// The floats a thread works in.
static size_t plan_direct(Conv3dPlan & p) {
    const Conv3dCall & call = p.call;
    const int64_t width = p.out->ne[1], height = p.out->ne[2];
    Conv3dTiling & d = p.direct;
    // Some 400 positions share the cost of unpacking a panel's weights; the input of a block then
    // stays in the L2 cache.
    d.tile_width = std::min<int64_t>(width, 48);
    d.tile_rows = choose_rows(d.tile_width);
    d.tile_height = std::min(height, std::max<int64_t>(1, 400 / d.tile_width));
    d.tile_panels = p.panels();
    d.tiles_x = divide_up(width, d.tile_width);
    d.tiles_y = divide_up(height, d.tile_height);
    d.tiles_t = p.out->ne[3];
    const int64_t places = d.tiles_x * d.tiles_y * d.tiles_t;
    const int threads = p.workers.threads;
    if (threads > 1 && places < 8 * threads)
        d.tile_panels =
            divide_up(d.tile_panels, std::min(d.tile_panels, divide_up(8 * threads, places)));
    d.tiles_out = divide_up(p.panels(), d.tile_panels);
    const int64_t laid = call.kernel_time() * lines_of(p) * block * line_length(p);
    const int64_t rows = call.weight->ne[2] * block + variant().conv3d.most_rows;
    return static_cast<size_t>(laid + rows * p.panel);
}

Tensor convolve(Nodes & g, const Conv3dCall & call) {
    const std::shared_ptr<Conv3dPlan> plan(
        new Conv3dPlan{call, g.workers(), call.weight->ne[0], call.weight->ne[1], panel_width()});
    const bool winograd = winograd_pays(call) && !g.exact();
    const std::string name = words("%s of %d", winograd ? "winograd" : "conv3d", int(plan->in));
    const Shape ne = {plan->outputs, call.out_width(), call.out_height(), call.out_frames()};
    const auto from = {call.x, call.past, call.weight, call.bias, call.skip, call.skip_past};
    plan->out = winograd ? g.node<run_winograd>(name.c_str(), ne, from, plan)
                         : g.node<run_direct>(name.c_str(), ne, from, plan);
    plan->workers.reserve(winograd ? plan_winograd(*plan) : plan_direct(*plan));
    return plan->out;
}

} // namespace ltx2::kernels
