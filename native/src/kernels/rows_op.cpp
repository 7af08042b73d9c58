// Norms, modulation, gates and activations as graph nodes on the CPU: they read what they need
// once, row by row, and write once. Threads take rows in small pieces; no value depends on which
// thread computed it. Tensors are F32 with whole rows, at equal distances.
#include "kernels/cpu_ops.h"
#include "kernels/variant.h"

#include <algorithm>
#include <atomic>
#include <functional>

namespace ltx2::kernels {

namespace {
struct RowsPlan {
    std::function<void(Tensor out, int64_t row)> work;
    int64_t piece; // rows that a thread takes at once
    std::atomic<int64_t> next{0};
};
} // namespace

static void run(RowsPlan & plan, Tensor out, int, int) {
    const int64_t rows = ggml_nrows(out);
    for (int64_t first; (first = plan.next.fetch_add(plan.piece)) < rows;)
        for (int64_t r = first; r < std::min(rows, first + plan.piece); ++r)
            plan.work(out, r);
}

// `place` null: in memory of its own.
static Tensor for_rows(Nodes & g, const char * name, Shape ne, Tensor place,
                       std::initializer_list<Tensor> from,
                       std::function<void(Tensor out, int64_t row)> work) {
    const int64_t piece = std::max<int64_t>(1, 32768 / ne[0]);
    const std::shared_ptr<RowsPlan> plan(new RowsPlan{std::move(work), piece});
    return g.node<run>(name, ne, from, plan, place);
}

// The row of a token, null without a table.
static const float * row_for(const TokenRow & r, int64_t token) {
    if (!r.table)
        return nullptr;
    const int64_t timestep = r.index ? static_cast<const int32_t *>(r.index->data)[token] : 0;
    return floats(r.table) + (timestep * r.table->ne[1] + r.row) * r.table->ne[0];
}

Tensor norm(Nodes & g, const NormCall & c) {
    return for_rows(g, "norm", shape_of(c.x), c.into,
                    {c.x, c.scale.table, c.scale.index, c.shift.table, c.shift.index},
                    [c](Tensor out, int64_t r) {
                        float * to = row_of(out, r);
                        variant().rows.norm({row_of(c.x, r), row_for(c.scale, r),
                                             c.into ? to : row_for(c.shift, r), to, c.x->ne[0],
                                             c.norm, c.eps, c.one_plus_scale ? 1.0f : 0.0f});
                    });
}

Tensor add_gated(Nodes & g, Tensor x, Tensor branch, const TokenRow & gate) {
    return for_rows(g, "add", shape_of(x), x, {branch, gate.table, gate.index},
                    [=](Tensor out, int64_t r) {
                        float * to = row_of(out, r);
                        variant().rows.add(to, row_of(branch, r), row_for(gate, r), to, x->ne[0]);
                    });
}

Tensor gelu(Nodes & g, Tensor x, Tensor factor) {
    return for_rows(g, "gelu", shape_of(x), x, {factor}, [=](Tensor out, int64_t r) {
        float * to = row_of(out, r);
        variant().rows.gelu(to, factor ? row_of(factor, r) : nullptr, to, x->ne[0]);
    });
}

Tensor pixel_norm_silu(Nodes & g, Tensor past, Tensor x, float eps) {
    Shape ne = shape_of(x);
    ne[3] += past ? past->ne[3] : 0;
    return for_rows(g, "norm and SiLU", ne, nullptr, {past, x}, [=](Tensor out, int64_t r) {
        const int64_t width = ne[0], frame = ne[1] * ne[2];
        const float * from = frame_of(past, x, r / frame) + r % frame * width;
        variant().rows.rms_silu(from, floats(out) + r * width, width, eps);
    });
}

} // namespace ltx2::kernels
