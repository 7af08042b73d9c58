#include "kernels/rows_op.h"

#include "kernels/variant.h"

#include <algorithm>
#include <vector>

namespace ltx2::kernels {

static float * row_of(const ggml_tensor * t, int64_t row) {
    const int64_t outer = row / t->ne[1];
    const size_t offset = static_cast<size_t>(row % t->ne[1]) * t->nb[1] +
                          static_cast<size_t>(outer % t->ne[2]) * t->nb[2] +
                          static_cast<size_t>(outer / t->ne[2]) * t->nb[3];
    return reinterpret_cast<float *>(static_cast<char *>(t->data) + offset);
}

const float * TokenRow::of(int64_t token) const {
    if (!table)
        return nullptr;
    const int64_t timestep = index ? static_cast<const int32_t *>(index->data)[token] : 0;
    return static_cast<const float *>(table->data) + (timestep * table->ne[1] + row) * table->ne[0];
}

static void run(ggml_tensor * out, int, int, void * data) {
    RowsNode & node = *static_cast<RowsNode *>(data);
    const int64_t rows = ggml_nrows(out);
    for (int64_t first; (first = node.next.fetch_add(node.piece)) < rows;)
        for (int64_t r = first; r < std::min(rows, first + node.piece); ++r)
            node.work(r);
}

// `place` null: in memory of its own, in the shape of x.
static std::shared_ptr<RowsNode> make_node(ggml_context * ctx, const char * name, ggml_tensor * x,
                                           ggml_tensor * place, std::vector<ggml_tensor *> reads) {
    reads.erase(std::remove(reads.begin(), reads.end(), nullptr), reads.end());
    auto node = std::make_shared<RowsNode>();
    const int count = static_cast<int>(reads.size());
    node->out = place ? ggml_custom_inplace(ctx, place, reads.data(), count, run, GGML_N_TASKS_MAX,
                                            node.get())
                      : ggml_custom_4d(ctx, GGML_TYPE_F32, x->ne[0], x->ne[1], x->ne[2], x->ne[3],
                                       reads.data(), count, run, GGML_N_TASKS_MAX, node.get());
    ggml_set_name(node->out, name);
    node->piece = std::max<int64_t>(1, 32768 / x->ne[0]);
    return node;
}

std::shared_ptr<RowsNode> norm_rows(ggml_context * ctx, const NormCall & c) {
    auto node = make_node(ctx, "norm", c.x, c.into,
                          {c.x, c.scale.table, c.scale.index, c.shift.table, c.shift.index});
    node->work = [c, out = node->out](int64_t r) {
        float * to = row_of(out, r);
        variant().rows.norm({row_of(c.x, r), c.scale.of(r), c.into ? to : c.shift.of(r), to,
                             c.x->ne[0], c.norm, c.eps, c.base});
    };
    return node;
}

std::shared_ptr<RowsNode> add_rows(ggml_context * ctx, ggml_tensor * x, ggml_tensor * branch,
                                   const TokenRow & gate) {
    auto node = make_node(ctx, "add", x, x, {branch, gate.table, gate.index});
    node->work = [=](int64_t r) {
        float * to = row_of(x, r);
        variant().rows.add(to, row_of(branch, r), gate.of(r), to, x->ne[0]);
    };
    return node;
}

std::shared_ptr<RowsNode> gelu_rows(ggml_context * ctx, ggml_tensor * x, ggml_tensor * factor) {
    auto node = make_node(ctx, "gelu", x, x, {factor});
    node->work = [=](int64_t r) {
        float * to = row_of(x, r);
        variant().rows.gelu(to, factor ? row_of(factor, r) : nullptr, to, x->ne[0]);
    };
    return node;
}

} // namespace ltx2::kernels
