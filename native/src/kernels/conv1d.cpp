// The convolution over positions in a row, as an implicit matrix product on the inner kernel of
// conv3d: an input channel is a line of positions, whose taps lie `dilation` apart. A thread takes
// some hundred positions and some panels of outputs, and goes through the input channels a block at
// a time; weights are unpacked from where they lie, usually a mapped file. Sums depend on no
// position, so a piece of a sound has the bits that it has in the whole.
#include "kernels/conv1d_parts.h"
#include "kernels/variant.h"

#include <algorithm>
#include <atomic>
#include <cstring>

namespace ltx2::kernels {

// Of input channels, whose values and weights of one panel stay in the L1 and L2 caches.
static constexpr int64_t block = 32;
// Positions share the cost of unpacking weights; the sums of those that a thread works on at once,
// in all their panels, stay in the L2 cache.
static constexpr int64_t most_positions = 384, most_sums = 1 << 16;

namespace {
struct Conv1dPlan {
    Conv1dCall call;
    Workers workers;
    Tensor out = nullptr; // [out, out positions]

    // A transposed one gives `rate` outputs at once, one after the other, as channels: each is a
    // sum over the positions around it, with the weights that meet it, and zeros for others.
    int64_t in = call.in(), channels = call.out();
    int64_t outputs = channels * (call.rate ? call.rate : 1);
    int64_t cut = call.rate ? (call.taps() - call.rate) / 2 : 0; // off the first transposed output
    int64_t before = call.rate ? (call.taps() - 1 - cut) / call.rate
                               : call.dilation * (call.taps() - 1) / 2; // that an output sees
    int64_t taps = call.rate ? before + (cut + call.rate - 1) / call.rate + 1 : call.taps();
    int64_t dilation = call.rate ? 1 : call.dilation;

    const int64_t panel = variant().conv3d.panel, rows = variant().conv3d.most_rows;
    int64_t positions = call.x->ne[1];
    int64_t piece = std::min(round_up(positions, rows), most_positions / rows * rows);
    int64_t line = piece + (taps - 1) * dilation;
    int64_t panels = divide_up(outputs, panel);
    int64_t piece_panels = std::max<int64_t>(1, most_sums / (piece * panel));
    int64_t decoded = block * taps + 16; // a panel's rows lie so far apart, no power of two

    std::atomic<int64_t> next{0};

    Conv1dPlan(const Conv1dCall & call, Workers workers) : call(call), workers(workers) {}
};

// A thread's memory.
struct Room {
    float *laid, *weights, *decoded, *sums, *values;

    Room(const Conv1dPlan & p, float * at)
        : laid(at), weights(laid + block * p.line), decoded(weights + block * p.taps * p.panel),
          sums(decoded + p.panel * p.decoded), values(sums + p.rows * p.panel) {}
    static size_t size(const Conv1dPlan & p) {
        return static_cast<size_t>(block * p.line +
                                   (block * p.taps + p.decoded + p.rows + p.call.taps()) * p.panel);
    }
};
} // namespace

void read_conv1d(const ggml_tensor * weight, int64_t first, int64_t count, float * to) {
    if (weight->type == GGML_TYPE_F32)
        std::memcpy(to, floats(weight) + first, static_cast<size_t>(count) * sizeof *to);
    else if (weight->type == GGML_TYPE_F16)
        variant().rows.from_f16(static_cast<const uint16_t *>(weight->data) + first, to, count);
    else
        ggml_bf16_to_fp32_row(static_cast<const ggml_bf16_t *>(weight->data) + first, to, count);
}

// Of a transposed one: outputs that are one output's channels in a row are read together.
static void decode_transposed(const Conv1dPlan & p, const Room & room, int64_t first_out,
                              int64_t width, int64_t c, float * to) {
    const int64_t rate = p.call.rate, stored = p.call.taps();
    for (int64_t begin = 0, some; begin < width; begin += some) {
        const int64_t n = first_out + begin, phase = n / p.channels, channel = n % p.channels;
        some = std::min(width - begin, p.channels - channel);
        read_conv1d(p.call.weight, (c * p.channels + channel) * stored, some * stored, room.values);
        for (int64_t tap = 0; tap < p.taps; ++tap) {
            const int64_t at = phase + p.cut - rate * (tap - p.before);
            const bool meets = at >= 0 && at < stored;
            for (int64_t i = 0; i < some; ++i)
                to[(begin + i) * p.decoded + tap] = meets ? room.values[i * stored + at] : 0.0f;
        }
    }
}

// The weights of `width` outputs and `count` input channels, [channel][tap][panel].
static void unpack(const Conv1dPlan & p, const Room & room, int64_t first_out, int64_t width,
                   int64_t first_in, int64_t count) {
    if (p.call.rate)
        for (int64_t c = 0; c < count; ++c)
            decode_transposed(p, room, first_out, width, first_in + c, room.decoded + c * p.taps);
    else
        for (int64_t i = 0; i < width; ++i)
            read_conv1d(p.call.weight, ((first_out + i) * p.in + first_in) * p.taps, count * p.taps,
                        room.decoded + i * p.decoded);
    variant().gemm.transpose(reinterpret_cast<const uint32_t *>(room.decoded), p.decoded,
                             count * p.taps, reinterpret_cast<uint32_t *>(room.weights));
}

// Some channels of the positions from `first` on, [channel][line], with zeros outside.
static void lay_out(const Conv1dPlan & p, int64_t first, int64_t first_in, int64_t count,
                    float * to) {
    const float leak = p.call.leak;
    for (int64_t i = 0; i < p.line; ++i) {
        const int64_t t = first + i;
        if (t < 0 || t >= p.positions) {
            for (int64_t c = 0; c < count; ++c)
                to[c * p.line + i] = 0.0f;
            continue;
        }
        const float * from = row_of(p.call.x, t) + first_in;
        for (int64_t c = 0; c < count; ++c)
            to[c * p.line + i] = from[c] < 0 ? leak * from[c] : from[c];
    }
}

// The sums so far of some positions and one panel, at first the bias; and back, at last with the
// skip.
static void read_sums(const Conv1dPlan & p, const float * out, int64_t count, int64_t first_out,
                      int64_t width, bool first, float * sums) {
    for (int64_t m = 0; m < count; ++m, sums += p.panel) {
        if (!first)
            std::copy_n(out + m * p.outputs, width, sums);
        else if (!p.call.bias)
            std::fill_n(sums, width, 0.0f);
        else
            for (int64_t n = 0; n < width; ++n)
                sums[n] = floats(p.call.bias)[(first_out + n) % p.channels];
    }
}
static void write_sums(const Conv1dPlan & p, const float * sums, int64_t count, int64_t width,
                       const float * skip, float * out) {
    for (int64_t m = 0; m < count; ++m, sums += p.panel)
        for (int64_t n = 0; n < width; ++n)
            out[m * p.outputs + n] = sums[n] + (skip ? skip[m * p.outputs + n] : 0.0f);
}

static void add_block(const Conv1dPlan & p, const Room & room, int64_t first, int64_t first_panel,
                      int64_t first_in) {
    const int64_t count = std::min(block, p.in - first_in);
    const int64_t last = std::min(p.positions, first + p.piece);
    const bool begins = first_in == 0, ends = first_in + count == p.in;
    lay_out(p, first - p.before, first_in, count, room.laid);
    const Conv3dTileFn tile = variant().conv3d.tile_for(1, 1, static_cast<int>(p.rows));
    const float * lines[block];
    for (int64_t n = first_panel; n < std::min(p.panels, first_panel + p.piece_panels); ++n) {
        const int64_t from = n * p.panel, width = std::min(p.panel, p.outputs - from);
        unpack(p, room, from, width, first_in, count);
        for (int64_t t = first; t < last; t += p.rows) {
            for (int64_t c = 0; c < count; ++c)
                lines[c] = room.laid + c * p.line + t - first;
            const int64_t some = std::min(p.rows, last - t), at = t * p.outputs + from;
            read_sums(p, floats(p.out) + at, some, from, width, begins, room.sums);
            tile({lines, static_cast<int>(count), p.taps, p.dilation, room.weights}, room.sums);
            const float * skip = ends && p.call.skip ? floats(p.call.skip) + at : nullptr;
            write_sums(p, room.sums, some, width, skip, floats(p.out) + at);
        }
    }
}

static void run(Conv1dPlan & p, Tensor, int thread, int) {
    const Room room(p, p.workers.room(thread));
    const int64_t groups = divide_up(p.panels, p.piece_panels);
    for (int64_t i; (i = p.next.fetch_add(1)) < groups * divide_up(p.positions, p.piece);)
        for (int64_t in = 0; in < p.in; in += block)
            add_block(p, room, i / groups * p.piece, i % groups * p.piece_panels, in);
}

Tensor convolve_1d(Nodes & g, const Conv1dCall & call) {
    if (conv1d_winograd_pays(call) && !g.exact())
        return convolve_1d_winograd(g, call);
    const std::shared_ptr<Conv1dPlan> plan(new Conv1dPlan(call, g.workers()));
    const std::string name = words("conv1d of %d", static_cast<int>(plan->in));
    plan->out = g.node<run>(name.c_str(), {plan->channels, call.out_positions(), 1, 1},
                            {call.x, call.weight, call.bias, call.skip}, plan);
    plan->workers.reserve(Room::size(*plan));
    return plan->out;
}

} // namespace ltx2::kernels
