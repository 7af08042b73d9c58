#include "dit/block.h"

#include "graph/rotary.h"

namespace ltx2 {

DitConfig::DitConfig(const Part & part) {
    const Config c = part.group("transformer");
    // What the reference checks as well: a file that states otherwise is another model.
    c.require_flag("attention_bias", true, true);
    c.require_flag("cross_attention_norm", true, true);
    c.require_flag("use_middle_indices_grid", true, true);
    c.require_flag("norm_elementwise_affine", false, false);
    c.require_flag("share_ff", false, false);
    c.require("activation_fn", "gelu-approximate", "gelu-approximate");
    c.require("qk_norm", "rms_norm", "rms_norm");
    c.require("standardization_norm", "rms_norm", "rms_norm");
    c.require("positional_embedding_type", "rope", "rope");
    c.require_flag("caption_proj_before_connector", true, false);
    layers = c.integer("num_layers", 48, 1, 512);
    heads = c.integer("num_attention_heads", 32, 1, 256);
    head_dim = c.integer("attention_head_dim", 128, 2, 1024);
    in_channels = c.integer("in_channels", 128, 1, 4096);
    out_channels = c.integer("out_channels", 128, 1, 4096);
    context_width = c.integer("cross_attention_dim", 4096, 1, 1 << 16);
    eps = static_cast<float>(c.number("norm_eps", 1e-6, 0, 1));
    theta = c.number("positional_embedding_theta", 10000, 1, 1e12);
    max_pos = c.numbers("positional_embedding_max_pos", {20, 2048, 2048});
    timestep_scale = c.number("timestep_scale_multiplier", 1000, 0, 1e9);
    gated = c.flag("apply_gated_attention", false);
    adaln_text = c.flag("cross_attention_adaln", false);
    float64_grid = has_float64_grid(c);
    if (head_dim % 2)
        c.refuse("attention_head_dim", words("%d is odd", head_dim));
    if (out_channels != in_channels)
        c.refuse("out_channels", "differs from in_channels");
    if (context_width != width())
        c.refuse("cross_attention_dim", "differs from the width");
    if (max_pos.size() != 3 || width() < 6)
        c.refuse("positional_embedding_max_pos", "wants three numbers and a width of 6 or more");
    for (double m : max_pos)
        if (!(m > 0))
            c.refuse("positional_embedding_max_pos", "is not positive");
}

AdaLayerNormSingle::AdaLayerNormSingle(const Weights & w, int width, int rows)
    : linear_1(w / "emb.timestep_embedder.linear_1", sinusoid_width, width),
      linear_2(w / "emb.timestep_embedder.linear_2", width, width),
      linear(w / "linear", width, int64_t{width} * rows) {}

void AdaLayerNormSingle::operator()(Graph & g, Tensor sinusoids, Tensor & embedded,
                                    Tensor & rows) const {
    embedded = linear_2(g, ggml_silu(g.ctx(), linear_1(g, sinusoids)));
    rows = linear(g, ggml_silu(g.ctx(), embedded));
}

static AttentionConfig attention_config(const DitConfig & c) {
    return {c.width(), c.width(), c.heads, c.head_dim, c.eps, c.gated};
}

Block::Block(const Weights & w, const DitConfig & c)
    : attn1(w / "attn1", attention_config(c)), attn2(w / "attn2", attention_config(c)),
      ff(w / "ff", c.width(), int64_t{4} * c.width()),
      scale_shift_table(w("scale_shift_table", {c.width(), c.table_rows()}, As::f32)), eps(c.eps) {
    if (c.adaln_text)
        prompt_scale_shift_table = w("prompt_scale_shift_table", {c.width(), 2}, As::f32);
}

Tensor Block::operator()(Graph & g, Tensor x, Tensor context, const Modulation & m, bool perturbed,
                         const std::string & path) const {
    Tensor table = add(g, m.rows, scale_shift_table);
    const auto modulated = [&](int64_t scale, int64_t shift) {
        return modulate(g, Norm::rms, x, eps, {table, scale, m.index}, {table, shift, m.index});
    };
    const auto add_branch = [&](const char * name, Tensor branch, int64_t gate) {
        x = add_gated(g, x, g.tap(path + name, branch), {table, gate, m.index});
    };

    Tensor a = modulated(1, 0);
    add_branch(".attn1", perturbed ? attn1.values_only(g, a) : attn1(g, a, a, m.rotary), 2);

    if (prompt_scale_shift_table) {
        Tensor prompt = add(g, m.prompt, prompt_scale_shift_table);
        Tensor text = modulate(g, Norm::none, context, eps, {prompt, 1}, {prompt, 0});
        add_branch(".attn2", attn2(g, modulated(7, 6), text), 8);
    } else {
        x = add_gated(g, x,
                      g.tap(path + ".attn2", attn2(g, normed(g, Norm::rms, x, eps), context)));
    }

    add_branch(".ff", ff(g, modulated(4, 3)), 5);
    return g.tap(path, x);
}

} // namespace ltx2
