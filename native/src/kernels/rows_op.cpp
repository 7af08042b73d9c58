// Norms, modulation, gates and activations of a block as graph nodes on the CPU: each reads what it
// needs once, row by row, and writes once. Rows go to threads in small pieces as they get free; no
// value depends on which thread made it. Tensors are F32 with whole rows, at equal distances.
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

// `place` null: in memory of its own, in the shape of x.
static Tensor each_row(Nodes & g, const char * name, Tensor x, Tensor place,
                       std::initializer_list<Tensor> from,
                       std::function<void(Tensor out, int64_t row)> work) {
    const int64_t piece = std::max<int64_t>(1, 32768 / x->ne[0]);
    const std::shared_ptr<RowsPlan> plan(new RowsPlan{std::move(work), piece});
    return g.node<run>(name, shape_of(x), from, plan, place);
}

// That of a token, null without a table.
static const float * row_for(const TokenRow & r, int64_t token) {
    if (!r.table)
        return nullptr;
    const int64_t timestep = r.index ? static_cast<const int32_t *>(r.index->data)[token] : 0;
    return floats(r.table) + (timestep * r.table->ne[1] + r.row) * r.table->ne[0];
}

Tensor norm(Nodes & g, const NormCall & c) {
    return each_row(g, "norm", c.x, c.into,
                    {c.x, c.scale.table, c.scale.index, c.shift.table, c.shift.index},
                    [c](Tensor out, int64_t r) {
                        float * to = row_of(out, r);
                        variant().rows.norm({row_of(c.x, r), row_for(c.scale, r),
                                             c.into ? to : row_for(c.shift, r), to, c.x->ne[0],
                                             c.norm, c.eps, c.one_plus_scale ? 1.0f : 0.0f});
                    });
}

Tensor add_gated(Nodes & g, Tensor x, Tensor branch, const TokenRow & gate) {
    return each_row(g, "add", x, x, {branch, gate.table, gate.index}, [=](Tensor out, int64_t r) {
        float * to = row_of(out, r);
        variant().rows.add(to, row_of(branch, r), row_for(gate, r), to, x->ne[0]);
    });
}

Tensor gelu(Nodes & g, Tensor x, Tensor factor) {
    return each_row(g, "gelu", x, x, {factor}, [=](Tensor out, int64_t r) {
        float * to = row_of(out, r);
        variant().rows.gelu(to, factor ? row_of(factor, r) : nullptr, to, x->ne[0]);
    });
}

} // namespace ltx2::kernels
