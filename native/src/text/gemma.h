// Gemma's text model, 3 or 4: tokens -> the hidden states after every layer. It runs on the
// prompt's own tokens alone: the reference pads on the left and masks, which changes nothing. And
// tokens -> the next one: the last state times the embedding, of all the layers with a cache.
//
// Cost: 21.5 GFLOP a token at 12B. The residual stream passes 65504, F16's end: it stays F32.
#pragma once

#include "graph/layers.h"
#include "text/encoder.h"
#include "text/gemma_config.h"

namespace ltx2 {

struct GemmaLayer {
    int kv_heads, head_dim;
    RmsNorm attn_norm, attn_q_norm, attn_k_norm, post_attention_norm, ffn_norm, post_ffw_norm;
    Linear attn_q, attn_k;
    std::optional<Linear> attn_v; // none: a value is its key before norm and angles
    Linear attn_output, ffn_gate, ffn_up, ffn_down;
    Tensor layer_output_scale; // [1], times what comes out; or null

    GemmaLayer(const Weights & w, const GemmaConfig & c, size_t layer);
    // x [hidden, tokens]; a token sees `window` tokens, itself the last. With `past` the first
    // token is number `first` of a text; where that is not 0, x is this one token.
    Tensor operator()(Graph & g, const GemmaConfig & c, Tensor x, const Rotary & rotary,
                      int64_t window, const TextCache::Layer * past = nullptr,
                      int64_t first = 0) const;
};

// Angles of tokens in a row, for layers that see some tokens and for those that see all.
struct GemmaAngles {
    int64_t half[2], tokens;
    std::vector<float> cosines[2], sines[2]; // [half, 1, tokens]

    GemmaAngles(const GemmaConfig & c, int64_t first, int64_t tokens);
    Rotary rotary(Graph & g, bool global) const;
};

class Gemma : public TextEncoder {
public:
    // The embedding table stays in the file: only the prompt's rows are read, unless it `writes`.
    Gemma(const Part & part, Device & device, bool writes = false);

    int states() const override { return config_.layers + 1; }
    int64_t width() const override { return config_.hidden; }
    uint64_t weights() const override { return store_.size(); }
    void load(const Progress & progress) override;
    // The residual stream is kept from before the first layer and after each but the last; the
    // last state is normalised.
    HiddenStates encode(const std::vector<int32_t> & tokens, const Progress & progress) override;

    bool writes() const override { return head_.has_value(); }
    TextCache cache(int64_t room) const override;
    std::vector<float> predict(const std::vector<int32_t> & tokens, TextCache & cache,
                               const Progress & progress) override;

private:
    std::vector<float> embed(const std::vector<int32_t> & tokens) const;
    // The residual stream as it begins.
    Kept begin(const std::vector<int32_t> & tokens) const;
    int64_t window(size_t layer, int64_t tokens) const; // that a token of so many sees

    Device & device_;
    GemmaConfig config_;
    Source embedding_;
    Store store_;
    std::vector<GemmaLayer> layers_;
    std::optional<Linear> head_; // the embedding; the last of the layers that compute in a row
    RmsNorm output_norm_;
};

} // namespace ltx2
