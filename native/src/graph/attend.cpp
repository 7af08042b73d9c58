#include "graph/attend.h"

#include "kernels/attention_op.h"

namespace ltx2 {

static Tensor own_attention(const Graph & g, const AttendInputs & in) {
    kernels::AttentionCall call;
    call.q = in.q, call.k = in.k, call.v = in.v;
    call.head_dim = in.head_dim;
    call.q_norm = in.q_norm, call.k_norm = in.k_norm;
    call.eps = in.eps;
    if (in.rotary)
        call.cos = in.rotary->cos, call.sin = in.rotary->sin;
    call.gate = in.gate;
    call.scale = in.scale;
    call.window = in.window;
    call.bf16 = !in.exact;
    auto plan = kernels::attention(g.ctx(), call, g.device().threads());
    g.hold(plan);
    return plan->out;
}

static Tensor with_norm(const Graph & g, Tensor x, Tensor weight, float eps) {
    return ggml_mul(g.ctx(), ggml_rms_norm(g.ctx(), x, eps), weight);
}

// x [head_dim, heads, tokens]
static Tensor rotate(const Graph & g, Tensor x, const Rotary & rotary) {
    const int64_t half = x->ne[0] / 2;
    const auto part = [&](int64_t first) {
        return ggml_view_3d(g.ctx(), x, half, x->ne[1], x->ne[2], x->nb[1], x->nb[2],
                            static_cast<size_t>(first) * x->nb[0]);
    };
    const auto mul = [&](Tensor a, Tensor b) { return ggml_mul(g.ctx(), a, b); };
    Tensor a = part(0), b = part(half);
    Tensor turned_a = ggml_sub(g.ctx(), mul(a, rotary.cos), mul(b, rotary.sin));
    Tensor turned_b = ggml_add(g.ctx(), mul(b, rotary.cos), mul(a, rotary.sin));
    return ggml_concat(g.ctx(), turned_a, turned_b, 0);
}

static Tensor plain_attention(const Graph & g, const AttendInputs & in) {
    const auto in_heads = [&](Tensor t) {
        return ggml_reshape_3d(g.ctx(), t, in.head_dim, t->ne[0] / in.head_dim, t->ne[1]);
    };
    const auto prepared = [&](Tensor t, Tensor norm) {
        t = norm->ne[0] == t->ne[0] ? in_heads(with_norm(g, t, norm, in.eps))
                                    : with_norm(g, in_heads(t), norm, in.eps);
        return in.rotary ? rotate(g, t, *in.rotary) : t;
    };
    const auto heads_outside = [&](Tensor t) { return ggml_permute(g.ctx(), t, 0, 2, 1, 3); };
    Tensor q = heads_outside(prepared(in.q, in.q_norm));
    Tensor k = heads_outside(prepared(in.k, in.k_norm)), v = heads_outside(in_heads(in.v));
    if (!g.device().is_cpu()) { // GPU kernels want 16-bit keys and values
        k = ggml_cast(g.ctx(), k, GGML_TYPE_F16);
        v = ggml_cast(g.ctx(), v, GGML_TYPE_F16);
    }
    Tensor out = ggml_flash_attn_ext(g.ctx(), q, k, v, in.mask, in.scale, 0.0f, 0.0f);
    ggml_flash_attn_ext_set_prec(out, GGML_PREC_F32);
    out = ggml_reshape_2d(g.ctx(), out, out->ne[0] * out->ne[1], out->ne[2]);
    return in.gate ? gate_heads(g, out, in.gate) : out;
}

Tensor attend(const Graph & g, const AttendInputs & in) {
    return g.device().own_kernels() ? own_attention(g, in) : plain_attention(g, in);
}

Tensor gate_heads(const Graph & g, Tensor x, Tensor logits) {
    const int64_t heads = logits->ne[0];
    Tensor gate = ggml_scale(g.ctx(), ggml_sigmoid(g.ctx(), logits), 2.0f);
    gate = ggml_reshape_3d(g.ctx(), gate, 1, heads, x->ne[1]);
    Tensor split = ggml_reshape_3d(g.ctx(), x, x->ne[0] / heads, heads, x->ne[1]);
    return ggml_reshape_2d(g.ctx(), ggml_mul(g.ctx(), split, gate), x->ne[0], x->ne[1]);
}

} // namespace ltx2
