// Matrix products for many rows on the CPU. Weights stay where they are, usually in a mapped file:
// each panel is unpacked into the L1 cache when it is needed, once for some hundred rows of
// activations. Activations are prepared once for all matrices that they are multiplied with. The
// order of sums depends on k and on whether rows are few.
#include "base/error.h"
#include "kernels/cpu_ops.h"
#include "kernels/gemm_choice.h"
#include "kernels/variant.h"

#include <algorithm>
#include <atomic>
#include <cstring>

namespace ltx2::kernels {

// What is worked on at once: the rows that share an unpacked panel, the panels that share these
// rows while they are in the L2 cache, and the units of a part of k, so that a panel of them stays
// in the L1 cache. Measured at 1,024 rows. In tiles products of bytes take so little time that more
// rows must share what was unpacked.
struct Blocking {
    int64_t rows, units;
};
static constexpr int64_t most_rows_at_once = 1056, block_panels = 8, most_units = 256;
static int64_t values_per_unit(Arithmetic a) {
    const bool four_bytes = a == Arithmetic::f32 || a == Arithmetic::bf16_split;
    return four_bytes ? 1 : a == Arithmetic::bf16 || a == Arithmetic::int16_both ? 2 : 4;
}

static int most_rows(Arithmetic a) { return variant().gemm.most_rows[static_cast<int>(a)]; }

static Blocking blocking(Arithmetic a) {
    if (values_per_unit(a) != 4)
        return {512, most_units};
    if (a == Arithmetic::int16) // a panel takes twice the room once it is widened
        return {528, most_units / 2};
    return most_rows(a) >= 32 ? Blocking{most_rows_at_once, most_units / 2} : Blocking{528, 192};
}
static int64_t values_per_scale(Arithmetic a) {
    return 32 * (a == Arithmetic::int8_run     ? run_blocks
                 : a == Arithmetic::int16_both ? both_blocks
                                               : 1);
}

// ---- activations

namespace {
struct RowsPlan {
    Arithmetic arithmetic;
    int64_t rotated_group; // 0: none
    Workers workers;

    // Values that are rotated at once: some whole groups.
    int64_t part() const { return std::max<int64_t>(rotated_group, 1024); }
};
} // namespace

static void prepare_some(RowsPlan & plan, Tensor out, int thread, int threads) {
    const ggml_tensor * x = out->src[0];
    const int64_t most = most_rows(plan.arithmetic), panels = out->ne[1], k = x->ne[0];
    const int64_t stride = static_cast<int64_t>(x->nb[1] / sizeof(float)), part = plan.part();
    for (int64_t p = panels * thread / threads; p < panels * (thread + 1) / threads; ++p) {
        const int rows = static_cast<int>(std::min(most, x->ne[1] - p * most));
        const float * from = row_of(x, p * most);
        if (!plan.rotated_group) {
            variant().gemm.prepare(plan.arithmetic, from, stride, rows, k, at(out, 1, p));
            continue;
        }
        float * room = plan.workers.room(thread);
        for (int64_t first = 0; first < k; first += part) {
            const int64_t count = std::min(part, k - first);
            for (int64_t r = 0; r < rows; ++r)
                variant().rows.rotate(from + r * stride + first, room + r * part, count,
                                      plan.rotated_group);
            variant().gemm.prepare(plan.arithmetic, room, part, rows, count,
                                   at(out, 1, p) +
                                       variant().gemm.rows_bytes(plan.arithmetic, first));
        }
    }
}

static void rotate_rows(RowsPlan & plan, Tensor out, int thread, int threads) {
    const ggml_tensor * x = out->src[0];
    for (int64_t r = thread; r < x->ne[1]; r += threads)
        variant().rows.rotate(row_of(x, r), row_of(out, r), x->ne[0], plan.rotated_group);
}

// x [k, rows] F32, rows contiguous -> [bytes, panels] of I8; where its rows are few, x itself, or
// rotated.
static Tensor prepare_rows(Nodes & g, Arithmetic arithmetic, Tensor x, int64_t rotated_group) {
    const std::shared_ptr<RowsPlan> plan(new RowsPlan{arithmetic, rotated_group, g.workers()});
    if (x->ne[1] < few_rows)
        return rotated_group ? g.node<rotate_rows>("rotated rows", shape_of(x), {x}, plan) : x;
    if (rotated_group)
        plan->workers.reserve(static_cast<size_t>(most_rows(arithmetic) * plan->part()));
    const int64_t panels = divide_up(x->ne[1], most_rows(arithmetic));
    return g.node<prepare_some>("prepared rows",
                                {variant().gemm.rows_bytes(arithmetic, x->ne[0]), panels, 1, 1},
                                {x}, plan, nullptr, GGML_TYPE_I8);
}

// ---- the product

namespace {
struct GemmPlan {
    MatmulCall call;
    Arithmetic arithmetic;
    Tensor prepared; // the rows
    Workers workers;
    Tensor out = nullptr; // [n, rows]
    std::atomic<int64_t> next{0};
};

// A thread's memory, divided into arrays.
struct Room {
    uint32_t * units;               // [most_units][panel]
    float *scales, *minima;         // [blocks][panel]
    uint8_t * decoded;              // [panel][decoded_stride]
    float *row_scales, *row_minima; // [panel][blocks]
    float * values;                 // of one row, [most_values]
    float * group_scales;           // the same, of codes
    // [panels][rows][panel]: rows of the output lie a power of two apart, and would evict each
    // other from the caches.
    float * sums;

    static constexpr int64_t blocks = most_units / 8; // of 32 8-bit values
    static constexpr int64_t most_values = most_units * 4, decoded_stride = most_values + 64;

    // Divides what begins at `place`; returns its bytes.
    size_t cut(uintptr_t place, int64_t panel) {
        size_t size = 0;
        const auto take = [&](auto *& pointer, int64_t count) {
            pointer = reinterpret_cast<std::remove_reference_t<decltype(pointer)>>(place + size);
            size += round_up(static_cast<size_t>(count) * sizeof *pointer, size_t{64});
        };
        take(units, most_units * panel);
        take(scales, blocks * panel);
        take(minima, blocks * panel);
        take(decoded, panel * decoded_stride);
        take(row_scales, panel * blocks);
        take(row_minima, panel * blocks);
        take(values, most_values);
        take(group_scales, most_values);
        take(sums, block_panels * (most_rows_at_once + 16) * panel);
        return size;
    }
};

// One part of one thread's work.
struct Product {
    const GemmPlan & plan;
    const Gemm & kernels = variant().gemm;
    const ggml_tensor * weight = plan.call.weight.tensor;
    const Coding * coding = plan.call.weight.coding;
    const int64_t k = plan.call.weight.k(), n = weight->ne[1], rows = plan.out->ne[1];
    const int64_t panel = kernels.panel;
    const Decoder decoder = decoder_of(plan.call.weight);
    const UnpackFn unpacker = unpacker_of(plan.call.weight, plan.arithmetic);
    Room room;

    Product(const GemmPlan & plan, int thread) : plan(plan) {
        room.cut(reinterpret_cast<uintptr_t>(plan.workers.room(thread)), panel);
    }

    const uint8_t * weight_row(int64_t row) const { return at(weight, 1, row); }

    // Codes as 8-bit values, whose scales are those of rows, which `finish` knows. A group whose
    // scale is not finite makes those of its `values_per_scale` so.
    void decode_codes(const CodedPart & part, uint8_t * values, int64_t values_per_scale,
                      float * scales, float * minima) {
        kernels.coded_bytes(part, values);
        const int64_t count = divide_up(part.count, values_per_scale);
        std::fill_n(scales, count, 1.0f);
        for (int64_t i = 0; part.scales && i < part.count; i += std::min<int64_t>(part.group, 32))
            scales[i / values_per_scale] +=
                0 * part.scales[(part.first + i) / part.group - part.first / part.group];
        if (decoder.has_minima)
            std::fill_n(minima, count, kernels.coded_minimum(part.format));
    }

    CodedPart part_of(int64_t row, int64_t first, int64_t count) {
        const int64_t group = coding->group, last = first + count - 1;
        if (coding->group_scale.data)
            coding->group_scales(row, first / group, last / group - first / group + 1,
                                 room.group_scales);
        return {
            coding->format, weight_row(row), k,
            first,          count,           coding->group_scale.data ? room.group_scales : nullptr,
            group,          coding->levels};
    }

    void coded_values_of(int64_t row, int64_t first, int64_t count, float * to) {
        const int64_t whole = coding->correction.data ? 0 : count / 32 * 32;
        if (whole && coding->is_whole()) {
            uint8_t bytes[Room::most_values];
            float scales[Room::most_values / 32], minima[Room::most_values / 32];
            decode_codes(part_of(row, first, whole), bytes, 32, scales, minima);
            kernels.scaled(bytes, scales, decoder.has_minima ? minima : nullptr, whole, to);
        } else if (whole) {
            kernels.coded_values(part_of(row, first, whole), to);
        }
        coding->unscaled(row, first + whole, count - whole, to + whole);
    }

    // Values of a row as F32; of codes, without the row's scale.
    void values_of(int64_t at, int64_t first, int64_t count, float * to) {
        if (coding)
            return coded_values_of(at, first, count, to);
        const uint8_t * row = weight_row(at);
        if (weight->type == GGML_TYPE_F32) {
            std::memcpy(to, row + first * 4, static_cast<size_t>(count) * 4);
        } else if (weight->type == GGML_TYPE_F16) {
            variant().rows.from_f16(reinterpret_cast<const uint16_t *>(row) + first, to, count);
        } else if (decoder.decode && count % 32 == 0) {
            uint8_t bytes[Room::most_values];
            float scales[Room::most_values / 32], minima[Room::most_values / 32];
            decoder.decode(row, first, count, bytes, scales, minima);
            kernels.scaled(bytes, scales, decoder.has_minima ? minima : nullptr, count, to);
        } else {
            ggml_get_type_traits(weight->type)
                ->to_float(row + ggml_row_size(weight->type, first), to, count);
        }
    }

    // One row's part into `decoded`, as units of the arithmetic.
    void decode_row(int64_t column, int64_t first, int64_t count, int64_t i) {
        uint8_t * to = room.decoded + i * Room::decoded_stride;
        const int64_t per_scale = values_per_scale(plan.arithmetic);
        float * scales = room.row_scales + i * divide_up(count, per_scale);
        float * minima = room.row_minima + i * divide_up(count, per_scale);
        switch (plan.arithmetic) {
        case Arithmetic::f32:
            return values_of(column, first, count, reinterpret_cast<float *>(to));
        case Arithmetic::bf16:
            if (count % 2)
                reinterpret_cast<uint16_t *>(to)[count] = 0;
            if (weight->type == GGML_TYPE_BF16) {
                std::memcpy(to, weight_row(column) + first * 2, static_cast<size_t>(count) * 2);
            } else {
                values_of(column, first, count, room.values);
                kernels.to_bf16(room.values, reinterpret_cast<uint16_t *>(to), nullptr, count);
            }
            return;
        case Arithmetic::bf16_split: {
            uint16_t * high = reinterpret_cast<uint16_t *>(to);
            uint16_t * low = high + round_up(count, int64_t{2});
            if (count % 2)
                high[count] = low[count] = 0;
            values_of(column, first, count, room.values);
            return kernels.to_bf16(room.values, high, low, count);
        }
        case Arithmetic::int16_both:
            values_of(column, first, count, room.values);
            return kernels.to_int16(room.values, count, reinterpret_cast<int16_t *>(to), scales);
        case Arithmetic::int8:
        case Arithmetic::int8_run:
        case Arithmetic::int16:
        case Arithmetic::int4: // never: variants with int4 have an unpacker
            if (coding)
                return decode_codes(part_of(column, first, count), to, per_scale, scales, minima);
            if (decoder.decode)
                return decoder.decode(weight_row(column), first, count, to, scales, minima);
            values_of(column, first, count, room.values);
            return kernels.to_int8(room.values, count, to, scales);
        }
    }

    // Part [first, first + count) of the weights of a panel's outputs. Those past the last one are
    // sums of whatever is there, and are not kept.
    GemmPanel unpack(int64_t column, int64_t first, int64_t count) {
        const GemmPanel out = unpack_bytes(column, first, count);
        kernels.adapt(plan.arithmetic, room.units, count / 4);
        return out;
    }
    bool has_rest(int64_t count) const {
        const int64_t units = divide_up(count, int64_t{2}) * panel;
        return plan.arithmetic == Arithmetic::bf16_split &&
               std::any_of(room.units + units, room.units + 2 * units,
                           [](uint32_t u) { return u; });
    }
    GemmPanel unpack_bytes(int64_t column, int64_t first, int64_t count) {
        if (unpacker) {
            const uint8_t * rows[most_panel];
            for (int64_t i = 0; i < panel; ++i)
                rows[i] = weight_row(std::min(column + i, n - 1));
            unpacker(rows, first, count, room.units, room.scales);
            // Of codes they are those of rows, which `finish` knows.
            const float * scales = coding ? nullptr : room.scales;
            return {room.units, scales, nullptr, decoder.bits, has_rest(count)};
        }
        for (int64_t i = 0; i < std::min(panel, n - column); ++i)
            decode_row(column + i, first, count, i);
        const int64_t per = values_per_unit(plan.arithmetic);
        const int64_t blocks = divide_up(count, values_per_scale(plan.arithmetic));
        kernels.transpose(reinterpret_cast<const uint32_t *>(room.decoded),
                          Room::decoded_stride / 4, divide_up(round_up(count, int64_t{2}), per),
                          room.units);
        if (per != 4 && plan.arithmetic != Arithmetic::int16_both)
            return {room.units, nullptr, nullptr, 0, has_rest(count)};
        const auto spread = [&](const float * from, float * to) {
            kernels.transpose(reinterpret_cast<const uint32_t *>(from), blocks, blocks,
                              reinterpret_cast<uint32_t *>(to));
        };
        spread(room.row_scales, room.scales);
        const bool minima = per == 4 && decoder.has_minima;
        if (minima)
            spread(room.row_minima, room.minima);
        return {room.units, room.scales, minima ? room.minima : nullptr, decoder.bits};
    }

    // Bytes [begin, end) of the weights of outputs [first, last).
    void prefetch(int64_t first, int64_t last, size_t begin, size_t end) const {
        for (int64_t i = first; i < last; ++i)
            for (const uint8_t *at = weight_row(i) + begin, *to = weight_row(i) + end + 63; at < to;
                 at += 64)
                __builtin_prefetch(at);
    }

    // Bytes of a row before value `i`; about, where a row of codes has several parts.
    size_t bytes_before(int64_t i) const {
        return coding ? static_cast<size_t>(i * coding->row_bytes / k)
                      : ggml_row_size(weight->type, i);
    }

    // What `finish` does to the sums of the panel at `column`.
    struct Finish {
        int64_t width;
        const float * bias;       // or null
        float scales[most_panel]; // of rows of codes
        static constexpr float zeros[most_panel] = {};
    };
    Finish finish_of(int64_t column) const {
        Finish f;
        f.width = std::min(panel, n - column);
        f.bias = plan.call.bias ? floats(plan.call.bias) + column : nullptr;
        for (int64_t i = 0; coding && i < f.width; ++i)
            f.scales[i] = coding->row_scale(column + i);
        return f;
    }
    // Scales by row, adds the bias, applies GELU, and writes to the output.
    void finish(const Finish & f, float * sums, int64_t count, float * out) const {
        const float * scales = coding ? f.scales : nullptr;
        const float * bias = f.bias ? f.bias : scales ? f.zeros : nullptr;
        const bool gelu = plan.call.gelu;
        for (int64_t r = 0; bias && r < count; ++r)
            variant().rows.add(bias, sums + r * panel, scales,
                               gelu ? sums + r * panel : out + r * n, f.width);
        if (gelu) // all rows in one call: a single vector waits for its exponential
            variant().rows.gelu(sums, nullptr, sums, count * panel);
        for (int64_t r = 0; (gelu || !bias) && r < count; ++r)
            std::memcpy(out + r * n, sums + r * panel,
                        static_cast<size_t>(f.width) * sizeof(float));
    }

    // Part of a row of weights times as much of the only row of activations.
    float dot_part(int64_t at, int64_t first, int64_t count) {
        const float * x = row_of(plan.prepared, 0) + first;
        if (weight->type == GGML_TYPE_F16 && !coding)
            return variant().rows.dot_f16(
                reinterpret_cast<const uint16_t *>(weight_row(at)) + first, x, count);
        if (coding || !decoder.decode || count % 32) {
            values_of(at, first, count, room.values);
            return variant().rows.dot(x, room.values, count);
        }
        uint8_t bytes[Room::most_values];
        float scales[Room::most_values / 32], minima[Room::most_values / 32];
        decoder.decode(weight_row(at), first, count, bytes, scales, minima);
        return kernels.dot_scaled(bytes, scales, decoder.has_minima ? minima : nullptr, count, x);
    }

    // The same of the outputs of the panel at `column`. Each output's weights are read once from
    // beginning to end, which takes nearly all the time.
    void multiply_one(int64_t column) {
        for (int64_t i = 0; i < std::min(panel, n - column); ++i) {
            room.sums[i] = 0;
            for (int64_t first = 0; first < k; first += Room::most_values)
                room.sums[i] += dot_part(column + i, first, std::min(Room::most_values, k - first));
        }
        finish(finish_of(column), room.sums, 1, floats(plan.out) + column);
    }

    // All rows, which are few, with the same bits.
    void multiply_few(int64_t column) {
        const ggml_tensor * x = plan.prepared;
        std::fill_n(room.sums, rows * panel, 0.0f);
        for (int64_t i = 0; i < std::min(panel, n - column); ++i)
            for (int64_t first = 0; first < k; first += Room::most_values) {
                const int64_t count = std::min(Room::most_values, k - first);
                values_of(column + i, first, count, room.values);
                for (int64_t r = 0; r < rows; ++r)
                    room.sums[r * panel + i] +=
                        variant().rows.dot(row_of(x, r) + first, room.values, count);
            }
        finish(finish_of(column), room.sums, rows, floats(plan.out) + column);
    }

    // Rows [first_row, last_row) of the panel at `column`, part [first, first + count) of k, into
    // `sums`; `next` is the column of the panel that comes next, if any.
    void multiply(int64_t first_row, int64_t last_row, int64_t column, int64_t first, int64_t count,
                  int64_t next, float * sums) {
        const int64_t most = most_rows(plan.arithmetic);
        float * out = floats(plan.out) + column;
        GemmTile tile;
        tile.count = count;
        tile.panel = unpack(column, first, count);
        tile.sums_stride = panel;
        const size_t begin = bytes_before(first), end = bytes_before(first + count);
        // The last tiles prefetch the next panel's weights, which lie in as many places of a mapped
        // file as it has outputs; what earlier tiles prefetched would have left the caches.
        const int64_t tiles = divide_up(last_row - first_row, most);
        const int64_t shares = std::min<int64_t>(tiles, 32), width = std::min(panel, n - next);
        const bool last = first + count == k;
        const Finish last_step = last ? finish_of(column) : Finish();
        int64_t share = shares - tiles;
        for (int64_t row = first_row; row < last_row; row += most, sums += most * panel, ++share) {
            const int64_t some = std::min(most, last_row - row);
            tile.sums = sums;
            tile.rows =
                at(plan.prepared, 1, row / most) + kernels.rows_bytes(plan.arithmetic, first);
            if (first == 0)
                std::fill_n(sums, some * panel, 0.0f);
            if (next < n && share >= 0)
                prefetch(next + width * share / shares, next + width * (share + 1) / shares, begin,
                         end);
            // Rows of the output lie so far apart that the processor foresees none.
            for (int64_t r = 0; last && r < some; ++r)
                for (int64_t i = 0; i < last_step.width; i += 16)
                    __builtin_prefetch(out + (row + r) * n + i, 1);
            kernels.tile(plan.arithmetic, tile, static_cast<int>(some));
            if (last)
                finish(last_step, sums, some, out + row * n);
        }
    }
};
} // namespace

static void run(GemmPlan & plan, Tensor, int thread, int) {
    Product product(plan, thread);
    const int64_t panels = divide_up(product.n, product.panel);
    const Blocking block = blocking(plan.arithmetic);
    const int64_t columns = divide_up(panels, block_panels);
    const int64_t wanted = divide_up(product.rows, block.rows);
    // Parts of equal size, so that the last one is not a small rest, and of whole panels.
    const int64_t part_rows = round_up(divide_up(product.rows, wanted), most_rows(plan.arithmetic));
    const int64_t parts = divide_up(product.rows, part_rows);
    const int64_t most = block.units * values_per_unit(plan.arithmetic);
    if (product.kernels.begin)
        product.kernels.begin();
    for (int64_t i; (i = plan.next.fetch_add(1)) < parts * columns;) {
        const int64_t first_row = i / columns * part_rows;
        const int64_t last_row = std::min(product.rows, first_row + part_rows);
        const int64_t first_panel = i % columns * block_panels;
        const int64_t last_panel = std::min(panels, first_panel + block_panels);
        for (int64_t first = 0; first < product.k; first += most)
            for (int64_t p = first_panel; p < last_panel; ++p)
                product.multiply(first_row, last_row, p * product.panel, first,
                                 std::min(most, product.k - first),
                                 p + 1 < last_panel ? (p + 1) * product.panel : product.n,
                                 product.room.sums + (p - first_panel) * part_rows * product.panel);
    }
    if (product.kernels.end)
        product.kernels.end();
}

static void run_few(GemmPlan & plan, Tensor, int thread, int) {
    Product product(plan, thread);
    for (int64_t column; (column = product.panel * plan.next.fetch_add(1)) < product.n;)
        product.rows == 1 ? product.multiply_one(column) : product.multiply_few(column);
}

Tensor matmul(Nodes & g, const MatmulCall & call) {
    const Matrix & weight = call.weight;
    const int64_t rows = call.x->ne[1];
    const int64_t rotated_group = weight.coding ? weight.coding->rotated_group : 0;
    const Arithmetic arithmetic =
        choose_arithmetic(weight, rows, g.exact() ? Activations::f32 : call.activations);
    const int form = static_cast<int>(arithmetic) + arithmetics * static_cast<int>(rotated_group);
    Tensor & prepared = g.form_of(call.x, form);
    if (!prepared)
        prepared = prepare_rows(g, arithmetic, call.x, rotated_group);
    const std::shared_ptr<GemmPlan> plan(new GemmPlan{call, arithmetic, prepared, g.workers()});
    plan->workers.reserve(Room().cut(0, variant().gemm.panel) / sizeof(float));
    const std::string name =
        words("%s product from %lld", weight.type_name(), static_cast<long long>(weight.k()));
    const Shape ne = {weight.n(), rows, 1, 1};
    plan->out = rows < few_rows
                    ? g.node<run_few>(name.c_str(), ne, {prepared, weight.tensor, call.bias}, plan)
                    : g.node<run>(name.c_str(), ne, {prepared, weight.tensor, call.bias}, plan);
    return plan->out;
}

} // namespace ltx2::kernels
