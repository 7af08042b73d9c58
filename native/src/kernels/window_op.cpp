// Attention over a grid as two nodes of a graph: frames of queries, keys and values into the ring,
// normed and rotated; then some frames of queries against the boxes around them.
#include "kernels/cpu_ops.h"
#include "kernels/variant.h"

#include <algorithm>
#include <atomic>
#include <cmath>

namespace ltx2::kernels {

static_assert(WindowCall::most == window_most, "what may be asked for is what is computed");

static constexpr double log2_e = 1.4426950408889634;
static constexpr int64_t value_step = 16; // values of a head are filled up to a multiple of it

namespace {
// Where a head's values lie in a frame of the ring, in floats.
struct RingFrame {
    // Keys are an odd number of cache lines apart: else they would lie in few sets of a cache.
    int64_t columns, k_step, v_step, q_size, k_row, v_row, head;

    explicit RingFrame(const WindowCall & c)
        : columns(c.width + 2 * c.copies()), k_step(round_up(columns + window_strip, 16) | 16),
          v_step(round_up(c.head_dim, value_step)), q_size(round_up(c.cells() * c.head_dim, 16)),
          k_row(c.head_dim * k_step), v_row(columns * v_step),
          head(q_size + c.height * (k_row + v_row)) {}
    int64_t k(int64_t row) const { return q_size + row * k_row; }
    int64_t v(int64_t row, int64_t height) const { return q_size + height * k_row + row * v_row; }
};

// Pairs (2j, 2j + 1) are rotated: the first by the frame's angles, then by the row's, the column's.
struct Angles {
    int64_t pairs[3];
    std::vector<float> cos[3], sin[3]; // [positions][pairs]
};

struct KeepPlan {
    WindowCall call;
    Tensor qkv;
    int64_t first;
    Angles angles;
    std::atomic<int64_t> next{0};
};

struct AttendPlan {
    WindowCall call;
    Tensor ring;
    Workers workers;
    int64_t first;
    std::atomic<int64_t> next{0};
};
} // namespace

static Angles angles_of(const WindowCall & c, int64_t first, int64_t frames) {
    Angles a;
    int64_t time = c.head_dim / 4 / 2 * 2, space = (c.head_dim - time) / 2;
    if (space % 2)
        time -= 2, space = (c.head_dim - time) / 2;
    const int64_t dims[3] = {time, space, space};
    const int64_t begin[3] = {first, 0, -c.copies()};
    const int64_t counts[3] = {frames, c.height, c.width + 2 * c.copies()};
    for (int axis = 0; axis < 3; ++axis) {
        a.pairs[axis] = dims[axis] / 2;
        for (int64_t i = 0; i < counts[axis]; ++i)
            for (int64_t j = 0; j < a.pairs[axis]; ++j) {
                const double exponent =
                    2.0 * static_cast<double>(j) / static_cast<double>(dims[axis]);
                const float frequency = static_cast<float>(std::pow(10000.0, -exponent));
                const float angle = static_cast<float>(begin[axis] + i) * frequency;
                a.cos[axis].push_back(std::cos(angle));
                a.sin[axis].push_back(std::sin(angle));
            }
    }
    return a;
}

// norm(x) * weight * scale, rotated; value i goes to out[i * step].
static void place_head(const KeepPlan & p, const float * x, Tensor weight, float scale,
                       const int64_t (&at)[3], float * out, int64_t step) {
    const int64_t n = p.call.head_dim;
    const float mean = variant().rows.dot(x, x, n) / static_cast<float>(n);
    const float factor = scale / std::sqrt(mean + p.call.eps);
    const float * w = floats(weight);
    int64_t i = 0;
    for (int axis = 0; axis < 3; ++axis) {
        const int64_t pairs = p.angles.pairs[axis];
        const float * cos = p.angles.cos[axis].data() + at[axis] * pairs;
        const float * sin = p.angles.sin[axis].data() + at[axis] * pairs;
        for (int64_t j = 0; j < pairs; ++j, i += 2) {
            const float a = x[i] * w[i] * factor, b = x[i + 1] * w[i + 1] * factor;
            out[i * step] = a * cos[j] - b * sin[j];
            out[(i + 1) * step] = a * sin[j] + b * cos[j];
        }
    }
}

// One row of one head of a frame.
static void keep_row(const KeepPlan & p, float * to, int64_t frame, int64_t head, int64_t row) {
    const WindowCall & c = p.call;
    const RingFrame ring(c);
    const int64_t n = c.head_dim, width = c.heads * n;
    const float scale = static_cast<float>(log2_e / std::sqrt(static_cast<double>(n)));
    const auto cell = [&](int64_t column, int64_t third) {
        return row_of(p.qkv, frame * c.cells() + row * c.width + column) + third * width + head * n;
    };
    for (int64_t x = 0; x < c.width; ++x) {
        const int64_t at[3] = {frame, row, x + c.copies()};
        place_head(p, cell(x, 0), c.q_norm, scale, at, to + (row * c.width + x) * n, 1);
    }
    float *k = to + ring.k(row), *v = to + ring.v(row, c.height);
    for (int64_t d = 0; d < n; ++d)
        std::fill(k + d * ring.k_step + ring.columns, k + (d + 1) * ring.k_step, 0.0f);
    for (int64_t x = 0; x < ring.columns; ++x, v += ring.v_step) {
        const int64_t from = std::clamp<int64_t>(x - c.copies(), 0, c.width - 1);
        const int64_t at[3] = {frame, row, x};
        place_head(p, cell(from, 1), c.k_norm, 1, at, k + x, ring.k_step);
        std::copy_n(cell(from, 2), n, v);
        std::fill(v + n, v + ring.v_step, 0.0f);
    }
}

static void keep(KeepPlan & p, Tensor ring, int, int) {
    const WindowCall & c = p.call;
    const int64_t lines = c.heads * c.height, frames = p.qkv->ne[1] / c.cells();
    for (int64_t i; (i = p.next.fetch_add(1)) < frames * lines;) {
        const int64_t frame = i / lines, head = i % lines / c.height, row = i % c.height;
        float * to = row_of(ring, (p.first + frame) % ring->ne[1]) + head * RingFrame(c).head;
        keep_row(p, to, frame, head, row);
    }
}

namespace {
// Rows of keys of a block, as the kernel takes them.
struct KeyRows {
    const float * k[window_most * (window_most + window_rows)];
    const float * v[window_most * (window_most + window_rows)];
};
} // namespace

static void attend_block(const AttendPlan & p, Tensor out, int64_t frame, int64_t head, int64_t row,
                         int64_t column, float * scratch) {
    const WindowCall & c = p.call;
    const RingFrame ring(c);
    const int64_t frames = p.ring->ne[1], n = c.head_dim;
    const auto head_of = [&](int64_t f) { return row_of(p.ring, f % frames) + head * ring.head; };
    WindowTask t;
    t.head_dim = n;
    t.rows = static_cast<int>(std::min<int64_t>(window_rows, c.height - row));
    t.columns = static_cast<int>(std::min<int64_t>(window_columns, c.width - column));
    t.frames = c.window[0], t.seen_rows = c.window[1], t.seen_columns = c.window[2];
    // Among copies boxes stay centred: a column's begins where it would be in the grid itself.
    const auto column_of = [&](int64_t x) {
        return c.copied ? x : WindowCall::first_of(x, c.window[2], c.width);
    };
    int first_row[window_rows], first_column[window_columns];
    const int64_t top = WindowCall::first_of(row, c.window[1], c.height), left = column_of(column);
    for (int r = 0; r < t.rows; ++r)
        first_row[r] = static_cast<int>(WindowCall::first_of(row + r, c.window[1], c.height) - top);
    for (int x = 0; x < t.columns; ++x)
        first_column[x] = static_cast<int>(column_of(column + x) - left);
    t.first_row = first_row, t.first_column = first_column;
    t.union_rows = first_row[t.rows - 1] + t.seen_rows;
    t.union_columns = first_column[t.columns - 1] + t.seen_columns;
    KeyRows keys;
    for (int f = 0, i = 0; f < t.frames; ++f)
        for (int u = 0; u < t.union_rows; ++u, ++i) {
            const float * from = head_of(c.first_seen(frame) + f);
            keys.k[i] = from + ring.k(top + u) + left;
            keys.v[i] = from + ring.v(top + u, c.height) + left * ring.v_step;
        }
    t.k = keys.k, t.v = keys.v, t.k_step = ring.k_step, t.v_step = ring.v_step;
    t.q = head_of(frame) + (row * c.width + column) * n;
    t.q_row = c.width * n;
    t.out = row_of(out, (frame - p.first) * c.cells() + row * c.width + column) + head * n;
    t.out_column = out->ne[0], t.out_row = c.width * t.out_column;
    t.scratch = scratch;
    variant().window(t);
}

static void attend(AttendPlan & p, Tensor out, int thread, int) {
    const WindowCall & c = p.call;
    const int64_t across = divide_up(c.width, window_columns),
                  down = divide_up(c.height, window_rows);
    const int64_t blocks = across * down, heads = c.heads * (out->ne[1] / c.cells());
    for (int64_t i; (i = p.next.fetch_add(1)) < heads * blocks;) {
        const int64_t block = i % blocks, head = i / blocks % c.heads;
        attend_block(p, out, p.first + i / blocks / c.heads, head, block / across * window_rows,
                     block % across * window_columns, p.workers.room(thread));
    }
}

Tensor window_keep(Nodes & g, const WindowCall & call, Tensor qkv, int64_t first) {
    const std::shared_ptr<KeepPlan> plan(
        new KeepPlan{call, qkv, first, angles_of(call, first, qkv->ne[1] / call.cells())});
    return g.node<keep>("window inputs", shape_of(call.ring), {qkv, call.q_norm, call.k_norm}, plan,
                        call.ring);
}

Tensor window_attention(Nodes & g, const WindowCall & call, Tensor ring, int64_t first,
                        int64_t count) {
    const std::shared_ptr<AttendPlan> plan(new AttendPlan{call, ring, g.workers(), first});
    plan->workers.reserve(
        static_cast<size_t>(window_scratch(call.head_dim, call.window[0], call.window[1])));
    return g.node<attend>("window attention",
                          {call.heads * call.head_dim, call.cells() * count, 1, 1}, {ring}, plan);
}

} // namespace ltx2::kernels

namespace ltx2 {

Shape WindowCall::ring_shape(int64_t ring_frames) const {
    return {heads * kernels::RingFrame(*this).head, ring_frames, 1, 1};
}

} // namespace ltx2
