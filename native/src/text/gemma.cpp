#include "text/gemma.h"

#include "base/utf8.h"

#include <algorithm>
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

// The values of a layer, where it may do without: MODEL that names the weights where it may not.
static std::optional<Linear> values(const Weights & w, const GemmaConfig & c, size_t layer) {
    if (c.is_gemma4 && c.is_global[layer] && !w.find("weight"))
        return {};
    return linear(w, c.hidden, int64_t{c.kv_heads_of(layer)} * c.head_dim_of(layer));
}

static Tensor output_scale(const Weights & w, const GemmaConfig & c) {
    if (c.is_gemma4)
        return w("weight", {1}, As::f32);
    if (const Source * scale = w.find("weight"))
        fail(LTX2_STATUS_MODEL, "%s: holds Gemma 4's tensor %s, and its config is Gemma 3's",
             scale->file->path.c_str(), shown(scale->info->name).c_str());
    return nullptr;
}

GemmaLayer::GemmaLayer(const Weights & w, const GemmaConfig & c, size_t layer)
    : kv_heads(c.kv_heads_of(layer)), head_dim(c.head_dim_of(layer)),
      attn_norm(w / "attn_norm", c.hidden, c.eps), attn_q_norm(w / "attn_q_norm", head_dim, c.eps),
      attn_k_norm(w / "attn_k_norm", head_dim, c.eps),
      post_attention_norm(w / "post_attention_norm", c.hidden, c.eps),
      ffn_norm(w / "ffn_norm", c.hidden, c.eps),
      post_ffw_norm(w / "post_ffw_norm", c.hidden, c.eps),
      attn_q(linear(w / "attn_q", c.hidden, int64_t{c.heads} * head_dim)),
      attn_k(linear(w / "attn_k", c.hidden, int64_t{kv_heads} * head_dim)),
      attn_v(values(w / "attn_v", c, layer)),
      attn_output(linear(w / "attn_output", int64_t{c.heads} * head_dim, c.hidden)),
      ffn_gate(linear(w / "ffn_gate", c.hidden, c.ffn)),
      ffn_up(linear(w / "ffn_up", c.hidden, c.ffn)),
      ffn_down(linear(w / "ffn_down", c.ffn, c.hidden)),
      layer_output_scale(output_scale(w / "layer_output_scale", c)) {}

// `count` columns of x from `first` on.
static Tensor columns(Graph & g, Tensor x, int64_t first, int64_t count) {
    return ggml_view_2d(g.ctx(), x, x->ne[0], count, x->nb[1],
                        static_cast<size_t>(first) * x->nb[1]);
}

// Tokens from `first` on into their rows of a cache; of more than it has rows, the last ones.
static void keep_rows(Graph & g, Tensor x, int64_t first, Tensor kept) {
    const int64_t rows = kept->ne[1], count = x->ne[1];
    for (int64_t i = std::max<int64_t>(0, count - rows), some; i < count; i += some) {
        const int64_t row = (first + i) % rows;
        some = std::min(count - i, rows - row);
        g.keep(columns(g, x, i, some), columns(g, kept, row, some));
    }
}

// What is looked at: the tokens themselves, or, of a cache, what it has.
static Tensor attend(Graph & g, AttentionCall call, const TextCache::Layer * past, int64_t first) {
    if (!past)
        return g.ops().attention(g, call);
    const auto ready = [&](Tensor x, Tensor norm, const Rotary & rotary) {
        Tensor heads = ready_heads(g, x, call.head_dim, norm, call.eps, rotary);
        return ggml_reshape_2d(g.ctx(), heads, x->ne[0], x->ne[1]);
    };
    const Tensor keys = past->keys.tensor, values = past->values.tensor;
    keep_rows(g, ready(call.k, call.k_norm, call.k_rotary), first, keys);
    keep_rows(g, call.v, first, values);
    if (first == 0)
        return g.ops().attention(g, call);
    const int64_t there = std::min(first + 1, keys->ne[1]);
    AttentionCall one;
    one.q = ready(call.q, call.q_norm, call.q_rotary);
    one.k = columns(g, keys, 0, there), one.v = columns(g, values, 0, there);
    one.head_dim = call.head_dim;
    one.scale = call.scale;
    one.cached = true;
    return g.ops().attention(g, one);
}

// RMS norm of each head, without a weight.
static Tensor normed_heads(Graph & g, Tensor x, int64_t head_dim, float eps) {
    Tensor heads = ggml_reshape_2d(g.ctx(), x, head_dim, ggml_nelements(x) / head_dim);
    return ggml_reshape_2d(g.ctx(), normed(g, Norm::rms, heads, eps), x->ne[0], x->ne[1]);
}

Tensor GemmaLayer::operator()(Graph & g, const GemmaConfig & c, Tensor x, const Rotary & rotary,
                              int64_t window, const TextCache::Layer * past, int64_t first) const {
    Tensor a = attn_norm(g, x);
    AttentionCall call;
    call.q = attn_q(g, a), call.k = attn_k(g, a);
    call.v = attn_v ? (*attn_v)(g, a) : call.k;
    if (c.is_gemma4)
        call.v = normed_heads(g, call.v, head_dim, c.eps);
    call.head_dim = head_dim;
    call.q_norm = attn_q_norm.weight, call.k_norm = attn_k_norm.weight;
    call.eps = c.eps;
    call.q_rotary = call.k_rotary = rotary;
    call.scale = c.scale;
    call.window = window;
    x = post_attention_norm.add(g, x, attn_output(g, attend(g, call, past, first)));

    Tensor m = ffn_norm(g, x);
    Tensor gate = ffn_gate(g, m), up = ffn_up(g, m);
    x = post_ffw_norm.add(g, x, ffn_down(g, gelu(g, gate, up)));
    return layer_output_scale ? mul(g, x, layer_output_scale) : x;
}

static Source embedding(const Weights & w, int hidden) {
    const Source & table = w.source("weight");
    if (w.shape("weight", 2)[1] != hidden)
        fail(LTX2_STATUS_MODEL, "%s: tensor token_embd.weight is not [vocabulary, %d]",
             table.file->path.c_str(), hidden);
    check_type(table, "token_embd.weight", hidden);
    return table;
}

// One more layer, so that where weights come and go layer by layer it does too.
static std::optional<Linear> head(const Weights & w, const GemmaConfig & c, bool writes) {
    if (!writes)
        return {};
    const Linear made = linear(w, c.hidden, w.shape("weight", 2)[0]);
    w.begin_layer();
    return made;
}

Gemma::Gemma(const Part & part, Device & device, bool writes)
    : device_(device), config_(gemma_config(*part.file)), store_(device),
      layers_(all_layers<GemmaLayer>(Weights(store_, part, "blk"), config_)),
      head_(head(Weights(store_, part, "token_embd"), config_, writes)),
      output_norm_(Weights(store_, part, "output_norm"), config_.hidden, config_.eps) {
    embedding_ = embedding(Weights(store_, part, "token_embd"), config_.hidden);
}

void Gemma::load(const Progress & progress) { store_.load(progress); }

std::vector<float> Gemma::embed(const std::vector<int32_t> & tokens) const {
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

// The same for every head: position * base^(-2j / head_dim); 0 past the share that is rotated.
GemmaAngles::GemmaAngles(const GemmaConfig & c, int64_t first, int64_t tokens)
    : half{c.head_dim / 2, c.global_head_dim / 2}, tokens(tokens) {
    for (const bool global : {false, true})
        for (int64_t position = first; position < first + tokens; ++position)
            for (int j = 0; j < half[global]; ++j) {
                const float base = static_cast<float>(global ? c.rope_base : c.rope_base_local);
                const float head_dim = static_cast<float>(2 * half[global]);
                float frequency = 1 / std::pow(base, static_cast<float>(2 * j) / head_dim);
                if (global && j >= std::floor(c.rotated * half[global]))
                    frequency = 0;
                if (global)
                    frequency /= static_cast<float>(c.rope_factor);
                const float angle = static_cast<float>(position) * frequency;
                cosines[global].push_back(std::cos(angle));
                sines[global].push_back(std::sin(angle));
            }
}

Rotary GemmaAngles::rotary(Graph & g, bool global) const {
    const Shape ne = {half[global], 1, tokens, 1};
    return {g.input(GGML_TYPE_F32, ne, cosines[global].data()),
            g.input(GGML_TYPE_F32, ne, sines[global].data())};
}

Kept Gemma::begin(const std::vector<int32_t> & tokens) const {
    if (tokens.empty())
        fail(LTX2_STATUS_INTERNAL, "gemma: no tokens");
    const std::vector<float> embedded = embed(tokens);
    Kept x =
        device_.keep(GGML_TYPE_F32, {config_.hidden, static_cast<int64_t>(tokens.size()), 1, 1});
    device_.write(x.tensor, embedded.data(), embedded.size() * sizeof(float));
    return x;
}

int64_t Gemma::window(size_t layer, int64_t tokens) const {
    return config_.is_global[layer] ? tokens : config_.sliding_window;
}

HiddenStates Gemma::encode(const std::vector<int32_t> & tokens, const Progress & progress) {
    const int64_t count = static_cast<int64_t>(tokens.size()), hidden = config_.hidden;
    const Kept x = begin(tokens);
    HiddenStates out{states(), count, hidden,
                     device_.keep(GGML_TYPE_F32, {hidden, count, states(), 1})};
    const GemmaAngles angles(config_, 0, count);
    const int total = static_cast<int>(layers_.size());
    for (int i = 0; i < total; ++i) {
        progress("text", i, total);
        const size_t layer = static_cast<size_t>(i);
        store_.use_layer(layer, count);
        Graph g(device_, progress);
        g.named("layers." + std::to_string(i));
        if (i == 0)
            g.keep(x.tensor, out.state(g, 0));
        Tensor y = layers_[layer](g, config_, x.tensor, angles.rotary(g, config_.is_global[layer]),
                                  window(layer, count));
        g.keep(y, x.tensor);
        g.keep(i + 1 == total ? output_norm_(g, y) : y, out.state(g, i + 1));
        g.run();
    }
    progress("text", total, total);
    return out;
}

TextCache Gemma::cache(int64_t room) const {
    TextCache cache;
    cache.room = room;
    const ggml_type type = device_.kept_type();
    for (size_t i = 0; i < layers_.size(); ++i) {
        const Shape ne = {int64_t{layers_[i].kv_heads} * layers_[i].head_dim,
                          std::min(room, window(i, room)), 1, 1};
        cache.layers.push_back({device_.keep(type, ne), device_.keep(type, ne)});
    }
    return cache;
}

std::vector<float> Gemma::predict(const std::vector<int32_t> & tokens, TextCache & cache,
                                  const Progress & progress) {
    const int64_t count = static_cast<int64_t>(tokens.size()), first = cache.tokens;
    if (!head_ || (first && count != 1) || first + count > cache.room)
        fail(LTX2_STATUS_INTERNAL, "gemma: %lld tokens after %lld of %lld",
             static_cast<long long>(count), static_cast<long long>(first),
             static_cast<long long>(cache.room));
    const Kept x = begin(tokens);
    const GemmaAngles angles(config_, first, count);
    const int64_t total = static_cast<int64_t>(layers_.size());
    for (int64_t i = 0; i < total; ++i) {
        if (i == 0 || count > 1)
            progress("enhance", static_cast<int>(first + count * i / total),
                     static_cast<int>(cache.room));
        const size_t layer = static_cast<size_t>(i);
        store_.use_layer(layer, count);
        Graph g(device_, progress);
        g.named("layers." + std::to_string(i));
        g.keep(layers_[layer](g, config_, x.tensor, angles.rotary(g, config_.is_global[layer]),
                              window(layer, first + count), &cache.layers[layer], first),
               x.tensor);
        g.run();
    }
    store_.use_layer(layers_.size(), 1);
    std::vector<float> logits(static_cast<size_t>(head_->weight.n()));
    Graph g(device_, progress);
    g.output((*head_)(g, output_norm_(g, columns(g, x.tensor, count - 1, 1))), logits.data());
    g.run();
    cache.tokens += count;
    if (const float cap = config_.logit_cap; cap > 0)
        for (float & logit : logits)
            logit = cap * std::tanh(logit / cap);
    return logits;
}

} // namespace ltx2
