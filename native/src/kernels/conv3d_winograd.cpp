// Winograd's F(4x4, 3x3) in rows and columns; the three frames of a weight are summed among the
// transformed values. A tile of 4x4 outputs needs 36 multiplications per channel, frame and
// output instead of 144. A thread takes some tiles of some frames, transforms them once, and goes
// through the panels of output channels; of each panel it transforms the weights a block at a time,
// which costs less than keeping them would cost in memory. Tiles begin at multiples of four pixels
// and all sums run in one order, so windows and threads change no bits.
#include "kernels/conv3d_parts.h"
#include "kernels/variant.h"

#include <algorithm>
#include <cstring>

namespace ltx2::kernels {

static constexpr int64_t positions = winograd_positions, block = conv3d_block;
static constexpr int64_t group_size = positions / winograd_groups;

bool winograd_pays(const Conv3dCall & call) {
    if (call.kernel != 3 || call.stride_time != 1 || call.stride_space != 1)
        return false;
    if ((call.up || call.left) &&
        call.border != Border::zeros) // two positions outside: see at_border
        return false;
    const int64_t width = call.x->ne[1], height = call.x->ne[2];
    // 36 multiplications per tile against 9 per position; the transforms cost the rest.
    return 9 * width * height > 47 * divide_up(width, 4) * divide_up(height, 4);
}

static const Winograd & kernels_of(const Conv3dPlan & p) {
    return variant().winograd.of(p.call.weight->type);
}

namespace {
// Where things lie in a thread's scratch memory, in floats.
struct Layout {
    int64_t depth, row;         // of a group
    int64_t in_step;            // input channels whose weights are transformed at once
    int64_t rows;               // transformed tiles at most
    int64_t x_position, x_part; // of transformed pixels [part][position][rows][row]
    int64_t
        weights_position; // of a group of transformed weights [position][part][frame][depth][panel]
    int64_t sums_position; // of sums [position][row][panel]
    int64_t weights, sums, unpacked, zeros, end;

    // Positions lie odd multiples of a row apart: even ones would fall into the same sets.
    explicit Layout(const Conv3dPlan & p) {
        const WinogradTiling & w = p.tiling;
        depth = kernels_of(p).depth;
        row = kernels_of(p).row;
        in_step = std::max(depth, block);
        rows = w.piece_tiles * (w.piece_frames + p.call.kernel_time() - 1);
        x_position = (rows | 1) * row;
        x_part = positions * x_position;
        weights_position = p.call.kernel_time() * in_step * p.panel + 16;
        sums_position = round_up(w.piece_tiles * w.piece_frames, int64_t{16}) * p.panel + 16;
        weights = divide_up(p.in, depth) * x_part;
        sums = weights + group_size * weights_position;
        unpacked = sums + positions * sums_position;
        zeros = unpacked + (p.outputs % p.panel ? p.call.taps() * in_step * p.panel : 0);
        end = zeros + round_up(p.in, depth);
    }
};

// One piece of work: tiles of a frame, frames, panels.
struct Piece {
    int64_t tile, tiles, frame, frames, panel, last_panel;
    bool still; // one input frame is all that its output frame sees
};
} // namespace

static Piece piece_at(const Conv3dPlan & p, int64_t index) {
    const WinogradTiling & w = p.tiling;
    Piece piece;
    piece.panel = index % w.pieces_panels * w.piece_panels;
    piece.last_panel = std::min(p.panels(), piece.panel + w.piece_panels);
    index /= w.pieces_panels;
    piece.tile = index % w.pieces_tiles * w.piece_tiles;
    piece.tiles = std::min(w.piece_tiles, w.tiles - piece.tile);
    index /= w.pieces_tiles;
    piece.still = index < w.still;
    piece.frame = piece.still ? index : w.still + (index - w.still) * w.piece_frames;
    piece.frames = piece.still ? 1 : std::min(w.piece_frames, p.out->ne[3] - piece.frame);
    return piece;
}

// Transforms the 6x6 pixels around a tile, all channels, to row `row`.
static void transform_tile(const Conv3dPlan & p, const Layout & at, const float * frame,
                           int64_t tile, int64_t row, float * scratch) {
    const int64_t width = p.call.x->ne[1], height = p.call.x->ne[2];
    const int64_t x0 = tile % p.tiling.tiles_x * 4 - 1 - p.call.left;
    const int64_t y0 = tile / p.tiling.tiles_x * 4 - 1 - p.call.up;
    int64_t xs[6], ys[6];
    for (int64_t i = 0; i < 6; ++i) {
        xs[i] = at_border(x0 + i, width, p.call.border);
        ys[i] = at_border(y0 + i, height, p.call.border);
    }
    const float * pixels[positions];
    for (int64_t i = 0; i < positions; ++i) {
        const int64_t x = xs[i % 6], y = ys[i / 6];
        pixels[i] = x < 0 || y < 0 ? scratch + at.zeros : frame + (y * width + x) * p.in;
    }
    for (int64_t part = 0; part * at.depth < p.in; ++part)
        kernels_of(p).input(pixels, part * at.depth,
                            static_cast<int>(std::min(at.depth, p.in - part * at.depth)),
                            scratch + part * at.x_part + row * at.row, at.x_position);
}

static void transform_weights(const Conv3dPlan & p, const Layout & at, int64_t panel, int64_t in,
                              int64_t channels, int group, bool still, float * scratch) {
    const ggml_tensor * weight = p.call.weight;
    const int64_t first_out = panel * p.panel, width = std::min(p.panel, p.outputs - first_out);
    WinogradWeights w;
    w.ggml_type = width < p.panel ? GGML_TYPE_F32 : weight->type;
    const size_t size = ggml_type_size(static_cast<ggml_type>(w.ggml_type));
    const char * packed[2]; // the blocks of these channels
    int64_t blocks[2];      // and how many channels each has
    for (int64_t b = 0; b * block < channels; ++b) {
        const int64_t begin = in + b * block;
        float * unpacked = scratch + at.unpacked + b * p.call.taps() * block * p.panel;
        blocks[b] = std::min(block, p.in - begin);
        if (width < p.panel) {
            unpack_block(weight, first_out, width, begin, blocks[b], unpacked);
            packed[b] = reinterpret_cast<const char *>(unpacked);
        } else {
            packed[b] = static_cast<const char *>(weight->data) +
                        static_cast<size_t>(packed_offset(weight, first_out, width, begin)) * size;
        }
    }
    w.group = group;
    w.still = still;
    w.frames = p.call.kernel_time();
    w.stride = at.weights_position;
    for (int64_t first = 0; first < channels; first += at.depth) {
        const int64_t end = std::min(channels, first + at.depth);
        w.channels = static_cast<int>(end - first);
        int part = 0;
        for (int64_t c = first; c < end; c = (c / block + 1) * block) {
            const int64_t b = c / block, count = std::min(end, (b + 1) * block) - c;
            w.parts[part++] = {packed[b] + static_cast<size_t>(c % block * 3 * p.panel) * size,
                               blocks[b] * 3 * p.panel, static_cast<int>(count)};
        }
        w.to = scratch + at.weights + first * (still ? 1 : w.frames) * p.panel;
        kernels_of(p).weights(w);
    }
}

// The sums of a piece and one panel at a group of positions.
static void multiply(const Conv3dPlan & p, const Layout & at, const Piece & piece, int64_t panel,
                     int group, float * scratch) {
    for (int64_t in = 0; in < p.in; in += at.in_step) {
        const int64_t channels = std::min(at.in_step, p.in - in);
        transform_weights(p, at, panel, in, channels, group, piece.still, scratch);
        WinogradProduct product;
        product.next_block = at.x_part;
        product.next_tap = piece.tiles * at.row;
        product.blocks = divide_up(channels, at.depth);
        product.last_depth = static_cast<int>(channels - (product.blocks - 1) * at.depth);
        product.taps = piece.still ? 1 : p.call.kernel_time();
        product.rows = piece.tiles * piece.frames;
        product.first = in == 0;
        for (int64_t i = 0; i < group_size; ++i) {
            const int64_t position = group * group_size + i;
            product.x = scratch + in / at.depth * at.x_part + position * at.x_position;
            product.weights = scratch + at.weights + i * at.weights_position;
            product.sums = scratch + at.sums + position * at.sums_position;
            kernels_of(p).multiply(product);
        }
    }
}

static void write_outputs(const Conv3dPlan & p, const Layout & at, const Piece & piece,
                          int64_t panel, const float * scratch) {
    const int64_t first_out = panel * p.panel, width = std::min(p.panel, p.outputs - first_out);
    const int64_t columns = p.out->ne[1], lines = p.out->ne[2];
    const float * bias = floats(p.call.bias) + first_out;
    for (int64_t row = 0; row < piece.tiles * piece.frames; ++row) {
        const int64_t t = piece.frame + row / piece.tiles, tile = piece.tile + row % piece.tiles;
        const int64_t x0 = tile % p.tiling.tiles_x * 4, y0 = tile / p.tiling.tiles_x * 4;
        float * out = floats(p.out) + t * columns * lines * p.outputs;
        const float * skip = skip_frame(p.call, t);
        float * to[16];
        const float * add[16];
        for (int64_t i = 0; i < 16; ++i) {
            const int64_t x = x0 + i % 4, y = y0 + i / 4;
            const int64_t offset = (y * columns + x) * p.outputs + first_out;
            to[i] = x < columns && y < lines ? out + offset : nullptr;
            add[i] = skip && to[i] ? skip + offset : nullptr;
        }
        kernels_of(p).output(scratch + at.sums + row * p.panel, at.sums_position, bias,
                             skip ? add : nullptr, to, static_cast<int>(width));
    }
}

void run_winograd(Conv3dPlan & p, Tensor, int thread, int) {
    const WinogradTiling & w = p.tiling;
    const Layout at(p);
    const Winograd & kernels = kernels_of(p);
    float * scratch = p.workers.room(thread);
    std::fill(scratch + at.zeros, scratch + at.end, 0.0f);
    const int64_t pieces = w.pieces_tiles * w.pieces_frames * w.pieces_panels;
    if (kernels.begin)
        kernels.begin();
    for (int64_t i; (i = p.next.fetch_add(1)) < pieces;) {
        const Piece piece = piece_at(p, i);
        const int64_t more = piece.still ? 0 : p.call.kernel_time() - 1;
        for (int64_t j = 0; j < piece.frames + more; ++j) {
            const float * frame = input_frame(p.call, piece.frame + j - p.call.before);
            for (int64_t n = 0; n < piece.tiles; ++n)
                transform_tile(p, at, frame, piece.tile + n, j * piece.tiles + n, scratch);
        }
        for (int64_t panel = piece.panel; panel < piece.last_panel; ++panel) {
            for (int group = 0; group < winograd_groups; ++group)
                multiply(p, at, piece, panel, group, scratch);
            write_outputs(p, at, piece, panel, scratch);
        }
    }
    if (kernels.end)
        kernels.end();
}

// Tiles that share a panel's transformed weights: enough that these cost little, few enough that
// their sums stay in the L2 cache.
static constexpr int64_t most_rows = 192;
// Transformed pixels of all threads together, in floats.
static constexpr int64_t most_values = int64_t{6} << 20;

size_t plan_winograd(Conv3dPlan & p) {
    WinogradTiling & w = p.tiling;
    const int threads = p.workers.threads;
    const int64_t frames = p.out->ne[3];
    w.tiles_x = divide_up(p.out->ne[1], 4);
    w.tiles = w.tiles_x * divide_up(p.out->ne[2], 4);
    if (!p.call.flat)
        w.still = p.call.frames() == 1 ? frames
                                       : std::min<int64_t>(frames, std::max(0, p.call.before - 1));
    const int64_t moving = std::max<int64_t>(1, frames - w.still);
    const int64_t around = p.call.kernel_time() - 1; // input frames
    const int64_t room = std::max<int64_t>(
        p.call.kernel_time(),
        most_values / threads /
            (positions * divide_up(p.in, int64_t{kernels_of(p).depth}) * kernels_of(p).row));
    w.piece_tiles = std::min(w.tiles, most_rows / std::min<int64_t>(moving, 8));
    w.piece_tiles = std::min(w.piece_tiles,
                             std::max<int64_t>(1, room / (std::min<int64_t>(moving, 4) + around)));
    w.piece_frames = std::min(moving, most_rows / w.piece_tiles);
    w.piece_frames = std::min(w.piece_frames, std::max<int64_t>(1, room / w.piece_tiles - around));
    w.pieces_tiles = divide_up(w.tiles, w.piece_tiles);
    w.piece_tiles = divide_up(w.tiles, w.pieces_tiles);
    w.pieces_frames = w.still + divide_up(frames - w.still, w.piece_frames);
    if (frames > w.still)
        w.piece_frames = divide_up(frames - w.still, w.pieces_frames - w.still);
    w.piece_panels = p.panels();
    const int64_t places = w.pieces_tiles * w.pieces_frames;
    if (threads > 1 && places < 4 * threads)
        w.piece_panels =
            divide_up(p.panels(), std::min(p.panels(), divide_up(4 * threads, places)));
    w.pieces_panels = divide_up(p.panels(), w.piece_panels);
    return static_cast<size_t>(Layout(p).end);
}

} // namespace ltx2::kernels
