// The CPU's operations by our own kernels.
#include "graph/graph.h"
#include "kernels/attention_op.h"
#include "kernels/conv3d.h"
#include "kernels/frames.h"
#include "kernels/gemm_op.h"
#include "kernels/rows_op.h"

namespace ltx2 {

template <class Plan>
static Tensor out_of(Graph & g, const std::shared_ptr<Plan> & plan) {
    g.hold(plan);
    return plan->out;
}

// x [k, rows] is prepared once for all the products that read it alike.
static Tensor matmul(Graph & g, const MatmulCall & call) {
    const kernels::Arithmetic arithmetic =
        kernels::choose_arithmetic(call.weight->type, call.weight->ne[0], ggml_nrows(call.x),
                                   g.device().exact() ? Activations::f32 : call.activations);
    Tensor & prepared = g.form_of(call.x, static_cast<int>(arithmetic));
    if (!prepared)
        prepared = kernels::prepare_rows(g.ctx(), arithmetic, call.x);
    return out_of(g, kernels::gemm(g.ctx(), call, arithmetic, prepared, g.device().workers()));
}

static Tensor attention(Graph & g, const AttentionCall & call) {
    AttentionCall own = call;
    own.bf16 = call.bf16 && !g.device().exact();
    return out_of(g, kernels::attention(g.ctx(), own, g.device().workers()));
}

static Tensor norm(Graph & g, const NormCall & call) {
    return out_of(g, kernels::norm_rows(g.ctx(), call));
}

static Tensor add_gated(Graph & g, Tensor x, Tensor branch, const TokenRow & gate) {
    return out_of(g, kernels::add_rows(g.ctx(), x, branch, gate));
}

static Tensor gelu(Graph & g, Tensor x, Tensor factor) {
    return out_of(g, kernels::gelu_rows(g.ctx(), x, factor));
}

static Tensor convolve(Graph & g, const Conv3dCall & call) {
    return out_of(g, kernels::conv3d(g.ctx(), call, g.device().exact(), g.device().workers()));
}

static Tensor pixel_norm_silu(Graph & g, Tensor past, Tensor x) {
    return kernels::pixel_norm_silu(g.ctx(), past, x);
}

static Tensor depth_to_space(Graph & g, const ShuffleCall & call) {
    return out_of(g, kernels::depth_to_space(g.ctx(), call));
}

static Tensor space_to_depth(Graph & g, const ShuffleCall & call) {
    return out_of(g, kernels::space_to_depth(g.ctx(), call));
}

const Ops cpu_ops = {matmul,
                     attention,
                     norm,
                     add_gated,
                     gelu,
                     convolve,
                     pixel_norm_silu,
                     depth_to_space,
                     space_to_depth,
                     kernels::pack_conv3d,
                     /*rounds_to_weights=*/false};

} // namespace ltx2
