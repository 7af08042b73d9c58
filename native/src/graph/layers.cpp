#include "graph/layers.h"

#include <cmath>

namespace ltx2 {

Tensor normed(Graph & g, Norm norm, Tensor x, float eps) { return g.ops().norm(g, {x, norm, eps}); }

Tensor modulate(Graph & g, Norm norm, Tensor x, float eps, const TokenRow & scale,
                const TokenRow & shift) {
    return g.ops().norm(g, {x, norm, eps, scale, shift, /*one_plus_scale=*/true});
}

Tensor add_gated(Graph & g, Tensor x, Tensor branch, const TokenRow & gate) {
    return g.ops().add_gated(g, x, branch, gate);
}

Tensor gelu(Graph & g, Tensor x, Tensor factor) { return g.ops().gelu(g, x, factor); }

Conv3dCall conv3d(const Weights & w, int64_t in, int64_t out, Border border, int kernel,
                  bool flat) {
    Conv3dCall call;
    call.kernel = kernel;
    call.flat = flat;
    call.border = border;
    call.weight = w("weight", {in, out, call.taps()}, As::taps);
    call.bias = w("bias", {out}, As::f32);
    return call;
}

Linear::Linear(const Weights & w, int64_t in, int64_t out, bool with_bias)
    : weight(w.matrix("weight", in, out)), bias(with_bias ? w("bias", {out}, As::f32) : nullptr),
      branches(w.branches(in, out)) {}

Tensor Linear::operator()(Graph & g, Tensor x, bool with_gelu, bool for_attention) const {
    std::vector<Tensor> added;
    for (const Branch & branch : branches) {
        if (branch.strength() == 0)
            continue;
        Tensor low = g.ops().matmul(g, {branch.down, x, nullptr, false, activations});
        low = ggml_scale(g.ctx(), low, branch.strength());
        added.push_back(g.ops().matmul(g, {branch.up, low, nullptr, false, activations}));
    }
    Tensor y = g.ops().matmul(g, {weight, x, bias, with_gelu && added.empty(), activations,
                                  for_attention && added.empty()});
    for (const Tensor more : added)
        y = add(g, y, more);
    return with_gelu && !added.empty() ? gelu(g, y) : y;
}

RmsNorm::RmsNorm(const Weights & w, int64_t width, float eps)
    : weight(w("weight", {width}, As::f32)), eps(eps) {}

Tensor RmsNorm::operator()(Graph & g, Tensor x) const { return add(g, nullptr, x); }

Tensor RmsNorm::add(Graph & g, Tensor x, Tensor branch) const {
    NormCall call{branch, Norm::rms, eps, {weight}};
    call.into = x;
    return g.ops().norm(g, call);
}

Attention::Attention(const Weights & w, const AttentionConfig & c)
    : config(c), to_q(w / "to_q", c.width, c.heads * c.head_dim),
      to_k(w / "to_k", c.context_width, c.heads * c.head_dim),
      to_v(w / "to_v", c.context_width, c.heads * c.head_dim),
      q_norm(w / "q_norm", c.heads * c.head_dim, c.eps),
      k_norm(w / "k_norm", c.heads * c.head_dim, c.eps),
      to_out(w / "to_out.0", c.heads * c.head_dim, c.width) {
    if (c.gated)
        to_gate_logits.emplace(w / "to_gate_logits", c.width, c.heads);
}

Tensor Attention::operator()(Graph & g, Tensor x, const Rotary & rotary,
                             const std::vector<TokenGroup> & groups) const {
    return (*this)(g, x, x, rotary, rotary, groups);
}

Tensor Attention::operator()(Graph & g, Tensor x, Tensor context, const Rotary & q,
                             const Rotary & k, const std::vector<TokenGroup> & groups) const {
    AttentionCall call;
    const auto row = [&](const Linear & to, Tensor from) {
        return to(g, from, /*with_gelu=*/false, /*for_attention=*/true);
    };
    call.q = row(to_q, x), call.k = row(to_k, context), call.v = row(to_v, context);
    call.head_dim = config.head_dim;
    call.q_norm = q_norm.weight, call.k_norm = k_norm.weight;
    call.eps = config.eps;
    call.q_rotary = q, call.k_rotary = k;
    call.gate = to_gate_logits ? (*to_gate_logits)(g, x) : nullptr;
    call.scale = 1.0f / std::sqrt(static_cast<float>(config.head_dim));
    call.bf16 = !to_q.weight.is_f32();
    call.groups = groups;
    return to_out(g, g.ops().attention(g, call));
}

Tensor Attention::values_only(Graph & g, Tensor x) const {
    Tensor v = to_v(g, x);
    return to_out(g, to_gate_logits ? gate_heads(g, v, (*to_gate_logits)(g, x)) : v);
}

FeedForward::FeedForward(const Weights & w, int64_t width, int64_t hidden, bool with_bias)
    : proj(w / "net.0.proj", width, hidden, with_bias), out(w / "net.2", hidden, width, with_bias) {
}

} // namespace ltx2
