#include "text/gemma3.h"

#include <cmath>

namespace ltx2 {

// What meets quantised weights is rounded to 16 bits, not to 8 as elsewhere: Gemma's states have a
// few values a thousand times the others, which would take all 8.
// docs/decisions/0002-text-in-16-bits.md has the figures.
static Linear linear(const Weights & w, int64_t in, int64_t out) {
    Linear made(w, in, out, /*with_bias=*/false);
    made.activations = Activations::bits16;
    return made;
}

GemmaLayer::GemmaLayer(const Weights & w, const GemmaConfig & c)
    : attn_norm(w / "attn_norm", c.hidden, c.eps),
      attn_q_norm(w / "attn_q_norm", c.head_dim, c.eps),
      attn_k_norm(w / "attn_k_norm", c.head_dim, c.eps),
      post_attention_norm(w / "post_attention_norm", c.hidden, c.eps),
      ffn_norm(w / "ffn_norm", c.hidden, c.eps),
      post_ffw_norm(w / "post_ffw_norm", c.hidden, c.eps),
      attn_q(linear(w / "attn_q", c.hidden, int64_t{c.heads} * c.head_dim)),
      attn_k(linear(w / "attn_k", c.hidden, int64_t{c.kv_heads} * c.head_dim)),
      attn_v(linear(w / "attn_v", c.hidden, int64_t{c.kv_heads} * c.head_dim)),
      attn_output(linear(w / "attn_output", int64_t{c.heads} * c.head_dim, c.hidden)),
      ffn_gate(linear(w / "ffn_gate", c.hidden, c.ffn)),
      ffn_up(linear(w / "ffn_up", c.hidden, c.ffn)),
      ffn_down(linear(w / "ffn_down", c.ffn, c.hidden)) {}

Tensor GemmaLayer::operator()(Graph & g, const GemmaConfig & c, Tensor x, const Rotary & rotary,
                              int64_t window) const {
    Tensor a = attn_norm(g, x);
    AttentionCall call;
    call.q = attn_q(g, a), call.k = attn_k(g, a), call.v = attn_v(g, a);
    call.head_dim = c.head_dim;
    call.q_norm = attn_q_norm.weight, call.k_norm = attn_k_norm.weight;
    call.eps = c.eps;
    call.q_rotary = call.k_rotary = rotary;
    call.scale = c.scale;
    call.window = window;
    x = post_attention_norm.add(g, x, attn_output(g, g.ops().attention(g, call)));

    Tensor m = ffn_norm(g, x);
    Tensor gate = ffn_gate(g, m), up = ffn_up(g, m);
    return post_ffw_norm.add(g, x, ffn_down(g, gelu(g, gate, up)));
}

static Source embedding(const Weights & w, int hidden) {
    const Source & table = w.source("weight");
    if (w.shape("weight", 2)[1] != hidden)
        fail(LTX2_STATUS_MODEL, "%s: tensor token_embd.weight is not [vocabulary, %d]",
             table.file->path.c_str(), hidden);
    check_type(table, "token_embd.weight", hidden);
    return table;
}

Gemma3::Gemma3(const Part & part, Device & device)
    : device_(device), config_(gemma_config(*part.file)), store_(device),
      layers_(all_layers<GemmaLayer>(Weights(store_, part, "blk"), config_)),
      output_norm_(Weights(store_, part, "output_norm"), config_.hidden, config_.eps) {
    embedding_ = embedding(Weights(store_, part, "token_embd"), config_.hidden);
}

void Gemma3::load(const Progress & progress) { store_.load(progress); }

std::vector<float> Gemma3::embed(const std::vector<int32_t> & tokens) const {
    const int64_t hidden = config_.hidden, rows_there = embedding_.shape()[0];
    const float scale = std::sqrt(static_cast<float>(hidden));
    std::vector<float> rows(tokens.size() * static_cast<size_t>(hidden));
    for (size_t i = 0; i < tokens.size(); ++i) {
        if (tokens[i] < 0 || tokens[i] >= rows_there)
            fail(LTX2_STATUS_MODEL, "%s: token %d has no row in token_embd.weight, which has %lld",
                 embedding_.file->path.c_str(), tokens[i], static_cast<long long>(rows_there));
        float * row = rows.data() + i * static_cast<size_t>(hidden);
        read_values(embedding_, tokens[i] * hidden, hidden, row);
        for (int64_t d = 0; d < hidden; ++d)
            row[d] *= scale;
    }
    return rows;
}

// Angles [head_dim / 2, 1, tokens], the same for every head: position * base^(-2j / head_dim).
static void fill_rotary(const GemmaConfig & c, bool global, int64_t tokens,
                        std::vector<float> & cosines, std::vector<float> & sines) {
    const int half = c.head_dim / 2;
    for (int64_t position = 0; position < tokens; ++position)
        for (int j = 0; j < half; ++j) {
            const float base = static_cast<float>(global ? c.rope_base : c.rope_base_local);
            float frequency = 1 / std::pow(base, static_cast<float>(2 * j) / c.head_dim);
            if (global)
                frequency /= static_cast<float>(c.rope_factor);
            const float angle = static_cast<float>(position) * frequency;
            cosines.push_back(std::cos(angle));
            sines.push_back(std::sin(angle));
        }
}

HiddenStates Gemma3::encode(const std::vector<int32_t> & tokens, const Progress & progress) {
    const int64_t count = static_cast<int64_t>(tokens.size()), hidden = config_.hidden;
    if (tokens.empty())
        fail(LTX2_STATUS_INTERNAL, "gemma: no tokens");
    HiddenStates out{states(), count, hidden,
                     device_.keep(GGML_TYPE_F32, {hidden, count, states(), 1})};
    const std::vector<float> embedded = embed(tokens);
    std::vector<float> cosines[2], sines[2];
    for (int global = 0; global < 2; ++global)
        fill_rotary(config_, global, count, cosines[global], sines[global]);
    Kept x = device_.keep(GGML_TYPE_F32, {hidden, count, 1, 1});
    for (Tensor first : {out.values.tensor, x.tensor})
        device_.write(first, embedded.data(), embedded.size() * sizeof(float));
    const int total = static_cast<int>(layers_.size());
    for (int i = 0; i < total; ++i) {
        progress("text", i, total);
        store_.use_layer(static_cast<size_t>(i), count);
        const bool global = config_.is_global[static_cast<size_t>(i)];
        Graph g(device_, progress, 256);
        const Shape angles = {config_.head_dim / 2, 1, count, 1};
        const Rotary rotary = {g.input(GGML_TYPE_F32, angles, cosines[global].data()),
                               g.input(GGML_TYPE_F32, angles, sines[global].data())};
        Tensor y = layers_[static_cast<size_t>(i)](g, config_, x.tensor, rotary,
                                                   global ? count : config_.sliding_window);
        g.keep(y, x.tensor);
        g.keep(i + 1 == total ? output_norm_(g, y) : y, out.state(g, i + 1));
        g.run();
    }
    progress("text", total, total);
    return out;
}

} // namespace ltx2
