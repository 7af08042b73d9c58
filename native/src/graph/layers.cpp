#include "graph/layers.h"

#include <cmath>

namespace ltx2 {

Tensor add(const Graph & g, Tensor a, Tensor b) { return ggml_add(g.ctx(), a, b); }
Tensor mul(const Graph & g, Tensor a, Tensor b) { return ggml_mul(g.ctx(), a, b); }

static Tensor out_of(const Graph & g, const std::shared_ptr<kernels::RowsNode> & node) {
    g.hold(node);
    return node->out;
}

Tensor normed(const Graph & g, Norm norm, Tensor x, float eps) {
    if (g.device().own_kernels())
        return out_of(g, kernels::norm_rows(g.ctx(), {x, norm, eps}));
    switch (norm) {
    case Norm::rms:
        return ggml_rms_norm(g.ctx(), x, eps);
    case Norm::layer:
        return ggml_norm(g.ctx(), x, eps);
    case Norm::none:
        break;
    }
    return x;
}

// [width, 1] where all tokens share it, else [width, tokens]
static Tensor rows(const Graph & g, const TokenRow & r) {
    Tensor each = ggml_view_2d(g.ctx(), r.table, r.table->ne[0], r.index ? r.table->ne[2] : 1,
                               r.table->nb[2], static_cast<size_t>(r.row) * r.table->nb[1]);
    return r.index ? ggml_get_rows(g.ctx(), ggml_cont(g.ctx(), each), r.index) : each;
}

Tensor modulate(const Graph & g, Norm norm, Tensor x, float eps, const TokenRow & scale,
                const TokenRow & shift) {
    if (g.device().own_kernels())
        return out_of(g, kernels::norm_rows(g.ctx(), {x, norm, eps, 1, scale, shift}));
    Tensor y = normed(g, norm, x, eps);
    return add(g, add(g, y, mul(g, y, rows(g, scale))), rows(g, shift));
}

Tensor add_gated(const Graph & g, Tensor x, Tensor branch, const TokenRow & gate) {
    if (g.device().own_kernels())
        return out_of(g, kernels::add_rows(g.ctx(), x, branch, gate));
    return add(g, x, gate.table ? mul(g, branch, rows(g, gate)) : branch);
}

Tensor gelu(const Graph & g, Tensor x, Tensor factor) {
    const Device & device = g.device();
    // ggml's has three digits on the CPU
    if (device.own_kernels() || (device.is_cpu() && device.exact()))
        return out_of(g, kernels::gelu_rows(g.ctx(), x, factor));
    Tensor y = ggml_gelu(g.ctx(), x);
    return factor ? mul(g, y, factor) : y;
}

Linear::Linear(const Weights & w, int64_t in, int64_t out, bool with_bias)
    : weight(w("weight", {in, out}, As::matrix)),
      bias(with_bias ? w("bias", {out}, As::f32) : nullptr) {}

Tensor product(const Graph & g, Tensor weight, Tensor bias, Tensor x, bool fine, bool with_gelu) {
    if (g.device().own_kernels()) {
        kernels::GemmCall call;
        const kernels::Rounding rounding = g.device().exact() ? kernels::Rounding::none
                                           : fine             ? kernels::Rounding::fine
                                                              : kernels::Rounding::free;
        call.arithmetic =
            kernels::choose_arithmetic(weight->type, weight->ne[0], ggml_nrows(x), rounding);
        call.weight = weight;
        call.bias = bias;
        call.gelu = with_gelu;
        return g.product(call, x);
    }
    if (fine && g.device().is_cpu() && weight->type != GGML_TYPE_F32)
        weight = ggml_cast(g.ctx(), weight, GGML_TYPE_F32);
    Tensor y = ggml_mul_mat(g.ctx(), weight, x);
    ggml_mul_mat_set_prec(y, GGML_PREC_F32);
    y = bias ? add(g, y, bias) : y;
    return with_gelu ? gelu(g, y) : y;
}

Tensor Linear::operator()(const Graph & g, Tensor x) const { return product(g, weight, bias, x); }

RmsNorm::RmsNorm(const Weights & w, int64_t width, float eps)
    : weight(w("weight", {width}, As::f32)), eps(eps) {}

Tensor RmsNorm::operator()(const Graph & g, Tensor x) const {
    if (!g.device().own_kernels())
        return mul(g, normed(g, Norm::rms, x, eps), weight);
    return out_of(g, kernels::norm_rows(g.ctx(), {x, Norm::rms, eps, 0, {weight}}));
}

Tensor RmsNorm::add(const Graph & g, Tensor x, Tensor branch) const {
    if (!g.device().own_kernels())
        return ltx2::add(g, x, (*this)(g, branch));
    return out_of(g, kernels::norm_rows(g.ctx(), {branch, Norm::rms, eps, 0, {weight}, {}, x}));
}

Attention::Attention(const Weights & w, const AttentionConfig & c)
    : config(c), to_q(w / "to_q", c.width, c.heads * c.head_dim),
      to_k(w / "to_k", c.context_width, c.heads * c.head_dim),
      to_v(w / "to_v", c.context_width, c.heads * c.head_dim),
      q_norm(w / "q_norm", c.heads * c.head_dim, c.eps),
      k_norm(w / "k_norm", c.heads * c.head_dim, c.eps),
      to_out(w / "to_out.0", c.heads * c.head_dim, c.width) {
    if (c.gated) {
        gate_weight = w("to_gate_logits.weight", {c.width, c.heads}, As::matrix);
        gate_bias = w("to_gate_logits.bias", {c.heads}, As::f32);
    }
}

Tensor Attention::operator()(const Graph & g, Tensor x, Tensor context,
                             const Rotary * rotary) const {
    AttendInputs in;
    in.q = to_q(g, x), in.k = to_k(g, context), in.v = to_v(g, context);
    in.head_dim = config.head_dim;
    in.scale = 1.0f / std::sqrt(static_cast<float>(config.head_dim));
    in.q_norm = q_norm.weight, in.k_norm = k_norm.weight;
    in.eps = config.eps;
    in.rotary = rotary;
    in.gate = gate_logits(g, x);
    in.exact = g.device().exact() || to_q.weight->type == GGML_TYPE_F32;
    return to_out(g, attend(g, in));
}

Tensor Attention::values_only(const Graph & g, Tensor x) const {
    Tensor v = to_v(g, x), gate = gate_logits(g, x);
    return to_out(g, gate ? gate_heads(g, v, gate) : v);
}

Tensor Attention::gate_logits(const Graph & g, Tensor x) const {
    return gate_weight ? product(g, gate_weight, gate_bias, x) : nullptr;
}

FeedForward::FeedForward(const Weights & w, int64_t width, int64_t hidden)
    : proj(w / "net.0.proj", width, hidden), out(w / "net.2", hidden, width) {}

Tensor FeedForward::operator()(const Graph & g, Tensor x) const {
    return out(g, product(g, proj.weight, proj.bias, x, false, /*with_gelu=*/true));
}

} // namespace ltx2
