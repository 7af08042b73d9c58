// Gemma's hidden states -> the text features the DiT attends to: the feature extractor of 2.3 (RMS
// per token and layer, one wide linear), then transformer blocks over the text's rows and learned
// registers, which fill what the prompt leaves free.
#pragma once

#include "graph/layers.h"
#include "text/gemma3_config.h"

namespace ltx2 {

struct ConnectorConfig {
    int layers, heads, head_dim, text_length;
    double max_pos;
    bool gated, float64_grid;

    explicit ConnectorConfig(const Json & config); // MODEL: what LTX-2.3 does not have
    int width() const { return heads * head_dim; }
};

struct ConnectorBlock {
    Attention attn1;
    FeedForward ff;

    ConnectorBlock(const Weights & w, const ConnectorConfig & c);
    Tensor operator()(Graph & g, Tensor x, const Rotary & rotary) const;
};

class Connector {
public:
    Connector(Device & device, const Index & index, const Json & config, const GemmaConfig & gemma,
              const Progress & progress);

    // states [layers + 1][tokens][hidden] as Gemma gives them -> [text_length][width].
    // Reports stage "text". Errors: OUT_OF_MEMORY, CANCELLED.
    std::vector<float> project(const std::vector<float> & states, int64_t tokens,
                               const Progress & progress);

private:
    std::vector<float> features(const std::vector<float> & states, int64_t tokens,
                                const Progress & progress);

    Device & device_;
    ConnectorConfig config_;
    int64_t hidden_, states_;
    Store store_;
    Linear video_aggregate_embed_;
    Tensor learnable_registers_;
    std::vector<ConnectorBlock> blocks_;
};

} // namespace ltx2
