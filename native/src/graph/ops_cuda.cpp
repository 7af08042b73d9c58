// Our operations for CUDA, where ggml's would read and write a block's values a dozen times more: a
// product with its bias and GELU, a norm with its modulation, the preparation of heads, gates. What
// they leave out is as ggml_cuda_ops have it.
#if defined(GGML_USE_CUDA)
#include "graph/ops.h"
#include "kernels/cuda_nodes.h"

#include <algorithm>

namespace ltx2 {

template <class Node>
static Tensor node(Nodes & g, const char * name, Shape ne, std::initializer_list<Tensor> from,
                   Node what, ggml_type type, Tensor place = nullptr) {
    const std::shared_ptr<kernels::CudaNode> plan = std::make_shared<Node>(std::move(what));
    Tensor out = g.add(name, ne, from, kernels::cuda_node, plan, place, type);
    std::copy_n(out->src, GGML_MAX_SRC, plan->made_of.begin());
    return out;
}

// What only products read: they round it to 16 bits themselves, but for few rows, which other
// kernels multiply.
static ggml_type rounded(const Nodes & g, int64_t rows) {
    return !g.exact() && rows > 256 ? GGML_TYPE_F16 : GGML_TYPE_F32;
}

static Tensor matmul(Nodes & g, const MatmulCall & call) {
    const ggml_type weight = call.weight.tensor->type;
    const bool wide = weight == GGML_TYPE_F16 || ggml_is_quantized(weight);
    const int64_t n = call.weight.n(), rows = call.x->ne[1];
    const ggml_type type = rounded(g, rows);
    if (!wide || !ggml_is_contiguous(call.x) || call.activations != Activations::bits8 ||
        type == GGML_TYPE_F32)
        return ggml_cuda_ops.matmul(g, call);
    kernels::CudaProduct what;
    what.weight = call.weight.tensor, what.x = call.x, what.bias = call.bias, what.gelu = call.gelu;
    return node(g, "product", {n, rows, 1, 1}, {call.weight.tensor, call.x, call.bias}, what,
                call.gelu || call.for_attention ? type : GGML_TYPE_F32);
}

static Tensor heads(Nodes & g, Tensor x, int64_t head_dim, Tensor weight, float eps,
                    const Rotary & rotary, ggml_type type) {
    kernels::CudaHeads what;
    what.x = x, what.weight = weight, what.eps = eps, what.rotary = rotary;
    return node(g, "heads", {head_dim, x->ne[0] / head_dim, x->ne[1], 1},
                {x, weight, rotary.cos, rotary.sin}, what, type);
}

static bool is_of_whole_rows(Tensor norm, Tensor x) { return !norm || norm->ne[0] == x->ne[0]; }

static Tensor attention(Nodes & g, const AttentionCall & call) {
    if (call.cached || !is_of_whole_rows(call.q_norm, call.q) ||
        !is_of_whole_rows(call.k_norm, call.k))
        return ggml_cuda_ops.attention(g, call);
    Tensor q = heads(g, call.q, call.head_dim, call.q_norm, call.eps, call.q_rotary, GGML_TYPE_F32);
    Tensor k = heads(g, call.k, call.head_dim, call.k_norm, call.eps, call.k_rotary, GGML_TYPE_F16);
    Tensor v = call.v->type == GGML_TYPE_F16
                   ? ggml_reshape_3d(g.ctx(), call.v, call.head_dim, call.kv_heads(), call.keys())
                   : heads(g, call.v, call.head_dim, nullptr, 0, {}, GGML_TYPE_F16);
    Tensor out = attend(g, call, q, k, v, GGML_TYPE_F16, cuda_head_dim(call.head_dim));
    if (!call.gate)
        return out;
    kernels::CudaGate what;
    what.x = out, what.logits = call.gate;
    return node(g, "gate", shape_of(out), {out, call.gate}, what, rounded(g, out->ne[1]));
}

static Tensor norm(Nodes & g, const NormCall & call) {
    if (call.into)
        return ggml_cuda_ops.norm(g, call);
    kernels::CudaNorm what;
    what.call = call;
    // what is modulated goes into products
    const ggml_type type = call.one_plus_scale ? rounded(g, call.x->ne[1]) : GGML_TYPE_F32;
    return node(g, "norm", shape_of(call.x),
                {call.x, call.scale.table, call.scale.index, call.shift.table, call.shift.index},
                what, type);
}

static Tensor add_gated(Nodes & g, Tensor x, Tensor branch, const TokenRow & gate) {
    kernels::CudaAdd what;
    what.branch = branch, what.gate = gate;
    return node(g, "add", shape_of(x), {branch, gate.table, gate.index}, what, GGML_TYPE_F32, x);
}

const Ops cuda_ops = {matmul,
                      attention,
                      norm,
                      add_gated,
                      ggml_cuda_ops.gelu,
                      ggml_cuda_ops.convolve,
                      ggml_cuda_ops.convolve_1d,
                      ggml_cuda_ops.snake,
                      ggml_cuda_ops.window_keep,
                      ggml_cuda_ops.window_attention,
                      ggml_cuda_ops.pixel_norm_silu,
                      ggml_cuda_ops.depth_to_space,
                      ggml_cuda_ops.space_to_depth,
                      nullptr,
                      true,
                      false};

} // namespace ltx2
#endif
