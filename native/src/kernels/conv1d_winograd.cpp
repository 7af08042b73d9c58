// Winograd's F(4, 4) over positions in a row: winograd_1d.h says what it computes. A thread takes
// some tiles of four outputs, transforms what they see, and goes through the panels of output
// channels; of each panel it transforms the weights a block at a time. With a dilation, positions
// that lie so far apart are a row of their own. Tiles begin where the whole sound's do, so a piece
// of it has the bits that it has in the whole, but for a tile at its ends.
#include "kernels/conv1d_parts.h"
#include "kernels/variant.h"

#include <algorithm>
#include <atomic>

namespace ltx2::kernels {

static constexpr int64_t points = winograd_1d_points, step = winograd_1d_step;
// Input channels whose transformed weights of one panel stay in the L2 cache.
static constexpr int64_t block = 64;
// Tiles that share them, so that transforming them costs little.
static constexpr int64_t most_tiles = 96;

namespace {
// The positions of a dilation's row that a call has, as tiles of the whole sound.
struct Row {
    int64_t first = 0, count = 0;

    Row(const Conv1dCall & call, int64_t phase) {
        const int64_t begin = std::max<int64_t>(call.origin - phase, 0);
        const int64_t last = call.origin + call.x->ne[1] - 1 - phase;
        if (last < 0)
            return;
        first = divide_up(begin, int64_t{call.dilation}) / step;
        count = std::max<int64_t>(0, last / call.dilation / step + 1 - first);
    }
};

struct WinogradPlan {
    Conv1dCall call;
    Workers workers;
    Tensor out = nullptr; // [out, positions]

    int64_t in = call.in(), outputs = call.out(), taps = call.taps(), dilation = call.dilation;
    int64_t fours = divide_up(taps, step);
    const Winograd & kernels = variant().winograd.of(call.weight->type);
    const Winograd1d & transforms = variant().winograd_1d.of(call.weight->type);
    int64_t panel = kernels.panel, depth = kernels.depth, panels = divide_up(outputs, panel);
    int64_t tiles = 0, pieces = 0; // of a piece; of a row
    int64_t piece_panels = 0, groups = 0;

    // A thread's memory, in floats: transformed positions [part][point][tile][kernels.row],
    // transformed weights [point][part][four taps][depth][panel], sums [point][tile][panel],
    // weights as they are, and zeros. Points lie odd multiples of a row apart.
    int64_t x_point = 0, weights_point = 0, sums_point = 0;
    int64_t x = 0, weights = 0, sums = 0, decoded = 0, plain = 0, zeros = 0, end = 0;
    int64_t decoded_row = block * taps + 16; // no power of two

    std::atomic<int64_t> next{0};

    WinogradPlan(const Conv1dCall & call, Workers workers) : call(call), workers(workers) {
        int64_t longest = 1;
        for (int64_t phase = 0; phase < dilation; ++phase)
            longest = std::max(longest, Row(call, phase).count);
        pieces = divide_up(longest, most_tiles);
        tiles = divide_up(longest, pieces);
        const int64_t places = pieces * dilation, wanted = 4 * workers.threads;
        groups = places < wanted ? std::min(panels, divide_up(wanted, places)) : 1;
        piece_panels = divide_up(panels, groups);
        x_point = ((tiles + fours - 1) | 1) * kernels.row;
        weights_point = fours * block * panel + 16;
        sums_point = round_up(tiles, int64_t{16}) * panel + 16;
        weights = x + divide_up(in, depth) * points * x_point;
        sums = weights + points * weights_point;
        decoded = sums + points * sums_point;
        plain = decoded + panel * decoded_row;
        zeros = plain + block * taps * panel;
        end = zeros + std::max(round_up(in, depth), round_up(outputs, panel));
    }
};

struct Piece {
    int64_t phase, tile, tiles, panel, last_panel;
};
} // namespace

static Piece piece_at(const WinogradPlan & p, int64_t index) {
    Piece piece;
    piece.panel = index % p.groups * p.piece_panels;
    piece.last_panel = std::min(p.panels, piece.panel + p.piece_panels);
    index /= p.groups;
    piece.phase = index / p.pieces;
    const Row row(p.call, piece.phase);
    const int64_t first = index % p.pieces * p.tiles;
    piece.tile = row.first + first;
    piece.tiles = std::min(p.tiles, row.count - first);
    return piece;
}

// Where the position that is `index` in its row lies in x and out; negative or beyond: it does not.
static int64_t position_of(const WinogradPlan & p, const Piece & piece, int64_t index) {
    return index * p.dilation + piece.phase - p.call.origin;
}

static void transform_input(const WinogradPlan & p, const Piece & piece, float * room) {
    for (int64_t row = 0; row < piece.tiles + p.fours - 1; ++row) {
        const float * seen[points];
        for (int64_t i = 0; i < points; ++i) {
            const int64_t index = step * (piece.tile + row) - p.taps / 2 + i;
            const int64_t t = position_of(p, piece, index);
            seen[i] = t < 0 || t >= p.call.x->ne[1] ? room + p.zeros : row_of(p.call.x, t);
        }
        for (int64_t part = 0; part * p.depth < p.in; ++part)
            p.transforms.input(
                seen, part * p.depth, static_cast<int>(std::min(p.depth, p.in - part * p.depth)),
                p.call.leak, room + p.x + part * points * p.x_point + row * p.kernels.row,
                p.x_point);
    }
}

static void transform_weights(const WinogradPlan & p, int64_t panel, int64_t first_in,
                              int64_t channels, float * room) {
    const int64_t first_out = panel * p.panel, width = std::min(p.panel, p.outputs - first_out);
    for (int64_t i = 0; i < width; ++i)
        read_conv1d(p.call.weight, ((first_out + i) * p.in + first_in) * p.taps, channels * p.taps,
                    room + p.decoded + i * p.decoded_row);
    variant().gemm.transpose(reinterpret_cast<const uint32_t *>(room + p.decoded), p.decoded_row,
                             channels * p.taps, reinterpret_cast<uint32_t *>(room + p.plain));
    for (int64_t part = 0; part * p.depth < channels; ++part)
        p.transforms.weights(
            {room + p.plain + part * p.depth * p.taps * p.panel, static_cast<int>(p.taps),
             static_cast<int>(std::min(p.depth, channels - part * p.depth)),
             room + p.weights + part * p.fours * p.depth * p.panel, p.weights_point});
}

static void multiply(const WinogradPlan & p, const Piece & piece, int64_t panel, float * room) {
    for (int64_t in = 0; in < p.in; in += block) {
        const int64_t channels = std::min(block, p.in - in);
        transform_weights(p, panel, in, channels, room);
        WinogradProduct product;
        product.next_block = points * p.x_point;
        product.next_tap = p.kernels.row;
        product.blocks = divide_up(channels, p.depth);
        product.last_depth = static_cast<int>(channels - (product.blocks - 1) * p.depth);
        product.taps = static_cast<int>(p.fours);
        product.rows = piece.tiles;
        product.first = in == 0;
        for (int64_t i = 0; i < points; ++i) {
            product.x = room + p.x + (in / p.depth * points + i) * p.x_point;
            product.weights = room + p.weights + i * p.weights_point;
            product.sums = room + p.sums + i * p.sums_point;
            p.kernels.multiply(product);
        }
    }
}

static void write_outputs(const WinogradPlan & p, const Piece & piece, int64_t panel,
                          float * room) {
    const int64_t first_out = panel * p.panel, width = std::min(p.panel, p.outputs - first_out);
    const float * bias = p.call.bias ? floats(p.call.bias) + first_out : room + p.zeros;
    for (int64_t row = 0; row < piece.tiles; ++row) {
        float * to[step];
        const float * skip[step] = {};
        for (int64_t i = 0; i < step; ++i) {
            const int64_t t = position_of(p, piece, step * (piece.tile + row) + i);
            const int64_t at = t * p.outputs + first_out;
            to[i] = t < 0 || t >= p.call.x->ne[1] ? nullptr : floats(p.out) + at;
            if (to[i] && p.call.skip)
                skip[i] = floats(p.call.skip) + at;
        }
        p.transforms.output(room + p.sums + row * p.panel, p.sums_point, bias,
                            p.call.skip ? skip : nullptr, to, static_cast<int>(width));
    }
}

static void run(WinogradPlan & p, Tensor, int thread, int) {
    float * room = p.workers.room(thread);
    std::fill(room + p.zeros, room + p.end, 0.0f);
    if (p.kernels.begin)
        p.kernels.begin();
    for (int64_t i; (i = p.next.fetch_add(1)) < p.dilation * p.pieces * p.groups;) {
        const Piece piece = piece_at(p, i);
        if (piece.tiles <= 0)
            continue;
        transform_input(p, piece, room);
        for (int64_t panel = piece.panel; panel < piece.last_panel; ++panel) {
            multiply(p, piece, panel, room);
            write_outputs(p, piece, panel, room);
        }
    }
    if (p.kernels.end)
        p.kernels.end();
}

bool conv1d_winograd_pays(const Conv1dCall & call) { return !call.rate && call.taps() >= 3; }

Tensor convolve_1d_winograd(Nodes & g, const Conv1dCall & call) {
    const std::shared_ptr<WinogradPlan> plan(new WinogradPlan(call, g.workers()));
    const std::string name = words("conv1d of %d", static_cast<int>(plan->in));
    plan->out = g.node<run>(name.c_str(), {plan->outputs, call.x->ne[1], 1, 1},
                            {call.x, call.weight, call.bias, call.skip}, plan);
    plan->workers.reserve(static_cast<size_t>(plan->end));
    return plan->out;
}

} // namespace ltx2::kernels
