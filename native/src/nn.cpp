#include "nn.h"

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

Tensor product(const Graph & g, Tensor weight, Tensor bias, Tensor x, bool precise,
               bool with_gelu) {
    if (g.device().own_kernels()) {
        kernels::GemmCall call;
        call.arithmetic = kernels::choose_arithmetic(weight->type, weight->ne[0], ggml_nrows(x),
                                                     precise || g.device().exact());
        call.weight = weight;
        call.bias = bias;
        call.gelu = with_gelu;
        return g.product(call, x);
    }
    if (precise && g.device().is_cpu() && weight->type != GGML_TYPE_F32)
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

Tensor rotate(const Graph & g, Tensor x, const Rotary & rotary) {
    const int64_t half = x->ne[0] / 2;
    const auto part = [&](int64_t first) {
        return ggml_view_3d(g.ctx(), x, half, x->ne[1], x->ne[2], x->nb[1], x->nb[2],
                            static_cast<size_t>(first) * x->nb[0]);
    };
    Tensor a = part(0), b = part(half);
    Tensor turned_a = ggml_sub(g.ctx(), mul(g, a, rotary.cos), mul(g, b, rotary.sin));
    Tensor turned_b = add(g, mul(g, b, rotary.cos), mul(g, a, rotary.sin));
    return ggml_concat(g.ctx(), turned_a, turned_b, 0);
}

Tensor attend(const Graph & g, Tensor q, Tensor k, Tensor v, Tensor mask, float scale) {
    const auto heads_outside = [&](Tensor t) { return ggml_permute(g.ctx(), t, 0, 2, 1, 3); };
    Tensor kh = heads_outside(k), vh = heads_outside(v);
    if (!g.device().is_cpu()) { // GPU kernels want 16-bit keys and values
        kh = ggml_cast(g.ctx(), kh, GGML_TYPE_F16);
        vh = ggml_cast(g.ctx(), vh, GGML_TYPE_F16);
    }
    Tensor out = ggml_flash_attn_ext(g.ctx(), heads_outside(q), kh, vh, mask, scale, 0.0f, 0.0f);
    ggml_flash_attn_ext_set_prec(out, GGML_PREC_F32);
    return ggml_reshape_2d(g.ctx(), out, out->ne[0] * out->ne[1], out->ne[2]);
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
    const auto in_heads = [&](Tensor t) {
        return ggml_reshape_3d(g.ctx(), t, config.head_dim, config.heads, t->ne[1]);
    };
    Tensor q = in_heads(q_norm(g, to_q(g, x)));
    Tensor k = in_heads(k_norm(g, to_k(g, context)));
    Tensor v = in_heads(to_v(g, context));
    if (rotary) {
        q = rotate(g, q, *rotary);
        k = rotate(g, k, *rotary);
    }
    const float scale = 1.0f / std::sqrt(static_cast<float>(config.head_dim));
    return gate_and_project(g, x, attend(g, q, k, v, nullptr, scale));
}

Tensor Attention::values_only(const Graph & g, Tensor x) const {
    return gate_and_project(g, x, to_v(g, x));
}

Tensor Attention::gate_and_project(const Graph & g, Tensor x, Tensor heads) const {
    if (gate_weight) {
        Tensor logits = product(g, gate_weight, gate_bias, x);
        Tensor gate = ggml_scale(g.ctx(), ggml_sigmoid(g.ctx(), logits), 2.0f);
        gate = ggml_reshape_3d(g.ctx(), gate, 1, config.heads, x->ne[1]);
        Tensor split = ggml_reshape_3d(g.ctx(), heads, config.head_dim, config.heads, x->ne[1]);
        heads = ggml_reshape_2d(g.ctx(), mul(g, split, gate), heads->ne[0], heads->ne[1]);
    }
    return to_out(g, heads);
}

FeedForward::FeedForward(const Weights & w, int64_t width, int64_t hidden)
    : proj(w / "net.0.proj", width, hidden), out(w / "net.2", hidden, width) {}

Tensor FeedForward::operator()(const Graph & g, Tensor x) const {
    return out(g, product(g, proj.weight, proj.bias, x, false, /*with_gelu=*/true));
}

} // namespace ltx2
