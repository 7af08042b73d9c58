// Gemma 3's text model: tokens -> the hidden states after every layer. It runs on the prompt's own
// tokens alone: the reference pads on the left and masks, which changes nothing.
//
// Cost: 21.5 GFLOP a token at 12B. The residual stream passes 65504, F16's end: it stays F32.
#pragma once

#include "graph/layers.h"
#include "text/encoder.h"
#include "text/gemma3_config.h"

namespace ltx2 {

struct GemmaLayer {
    RmsNorm attn_norm, attn_q_norm, attn_k_norm, post_attention_norm, ffn_norm, post_ffw_norm;
    Linear attn_q, attn_k, attn_v, attn_output, ffn_gate, ffn_up, ffn_down;

    GemmaLayer(const Weights & w, const GemmaConfig & c);
    // x [hidden, tokens]; a token sees `window` tokens, itself the last.
    Tensor operator()(Graph & g, const GemmaConfig & c, Tensor x, const Rotary & rotary,
                      int64_t window) const;
};

class Gemma3 : public TextEncoder {
public:
    // The embedding table stays in the file: only the prompt's rows are read.
    Gemma3(const Part & part, Device & device);

    int states() const override { return config_.layers + 1; }
    int64_t width() const override { return config_.hidden; }
    uint64_t weights() const override { return store_.size(); }
    void load(const Progress & progress) override;
    // The residual stream is kept from before the first layer and after each but the last; the
    // last state is normalised.
    HiddenStates encode(const std::vector<int32_t> & tokens, const Progress & progress) override;

private:
    std::vector<float> embed(const std::vector<int32_t> & tokens) const;

    Device & device_;
    GemmaConfig config_;
    Source embedding_;
    Store store_;
    std::vector<GemmaLayer> layers_;
    RmsNorm output_norm_;
};

} // namespace ltx2
