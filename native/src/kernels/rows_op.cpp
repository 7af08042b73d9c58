#include "kernels/rows_op.h"

#include "kernels/node.h"
#include "kernels/variant.h"

#include <algorithm>

namespace ltx2::kernels {

// That of a token, null without a table.
static const float * row_for(const TokenRow & r, int64_t token) {
    if (!r.table)
        return nullptr;
    const int64_t timestep = r.index ? static_cast<const int32_t *>(r.index->data)[token] : 0;
    return floats(r.table) + (timestep * r.table->ne[1] + r.row) * r.table->ne[0];
}

static void run(ggml_tensor * out, int, int, void * data) {
    RowsPlan & plan = *static_cast<RowsPlan *>(data);
    const int64_t rows = ggml_nrows(out);
    for (int64_t first; (first = plan.next.fetch_add(plan.piece)) < rows;)
        for (int64_t r = first; r < std::min(rows, first + plan.piece); ++r)
            plan.work(r);
}

// `place` null: in memory of its own, in the shape of x.
static std::shared_ptr<RowsPlan> make_plan(ggml_context * ctx, const char * name, ggml_tensor * x,
                                           ggml_tensor * place,
                                           std::initializer_list<ggml_tensor *> from) {
    auto plan = std::make_shared<RowsPlan>();
    plan->out = place ? custom_inplace(ctx, name, place, from, run, plan.get())
                      : custom(ctx, name, GGML_TYPE_F32, shape_of(x), from, run, plan.get());
    plan->piece = std::max<int64_t>(1, 32768 / x->ne[0]);
    return plan;
}

std::shared_ptr<RowsPlan> norm_rows(ggml_context * ctx, const NormCall & c) {
    auto plan = make_plan(ctx, "norm", c.x, c.into,
                          {c.x, c.scale.table, c.scale.index, c.shift.table, c.shift.index});
    plan->work = [c, out = plan->out](int64_t r) {
        float * to = row_of(out, r);
        variant().rows.norm({row_of(c.x, r), row_for(c.scale, r), c.into ? to : row_for(c.shift, r),
                             to, c.x->ne[0], c.norm, c.eps, c.one_plus_scale ? 1.0f : 0.0f});
    };
    return plan;
}

std::shared_ptr<RowsPlan> add_rows(ggml_context * ctx, ggml_tensor * x, ggml_tensor * branch,
                                   const TokenRow & gate) {
    auto plan = make_plan(ctx, "add", x, x, {branch, gate.table, gate.index});
    plan->work = [=](int64_t r) {
        float * to = row_of(x, r);
        variant().rows.add(to, row_of(branch, r), row_for(gate, r), to, x->ne[0]);
    };
    return plan;
}

std::shared_ptr<RowsPlan> gelu_rows(ggml_context * ctx, ggml_tensor * x, ggml_tensor * factor) {
    auto plan = make_plan(ctx, "gelu", x, x, {factor});
    plan->work = [=](int64_t r) {
        float * to = row_of(x, r);
        variant().rows.gelu(to, factor ? row_of(factor, r) : nullptr, to, x->ne[0]);
    };
    return plan;
}

} // namespace ltx2::kernels
