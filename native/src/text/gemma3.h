// Gemma 3's text model: tokens -> the hidden states after every layer. It runs on the prompt's own
// tokens alone: the reference pads on the left and masks, which changes nothing.
//
// Cost: 21.5 GFLOP a token at 12B. The residual stream passes 65504, F16's end: it stays F32.
#pragma once

#include "graph/layers.h"
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

class Gemma {
public:
    // The embedding table stays in the file: only the prompt's rows are read.
    Gemma(Device & device, const Index & index, const GemmaConfig & config,
          const Progress & progress);

    // The states [layers + 1][tokens][hidden]: scaled embeddings, the residual after each layer but
    // the last, and the last one normalised. Reports stage "text".
    // Errors: INVALID_ARGUMENT (a token outside the vocabulary), OUT_OF_MEMORY, CANCELLED.
    std::vector<float> encode(const std::vector<int32_t> & tokens, const Progress & progress);

private:
    std::vector<float> embed(const std::vector<int32_t> & tokens) const;

    Device & device_;
    const Index & index_;
    GemmaConfig config_;
    Store store_;
    std::vector<GemmaLayer> layers_;
    RmsNorm output_norm_;
};

} // namespace ltx2
