// Gemma's hidden states -> the text features the DiT attends to: the feature extractor of 2.3 (RMS
// per token and layer, one wide linear), then transformer blocks over the text's rows and learned
// registers, which fill what the prompt leaves free.
#pragma once

#include "graph/layers.h"
#include "sampling/text_features.h"
#include "text/encoder.h"

namespace ltx2 {

struct ConnectorConfig {
    int layers, heads, head_dim, text_length;
    double max_pos;
    bool gated, float64_grid;

    // `prefix`: of the names of what each modality has for itself. MODEL: what LTX-2.3 does not
    // have.
    ConnectorConfig(const Part & part, const std::string & prefix);
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
    static constexpr const char * part = "connector";
    static constexpr const char * projection_part = "projection";

    // Checks the config and every tensor; reads no weights. MODEL.
    Connector(const Model & model, Device & device) : Connector(model, device, video) {}

    const ConnectorConfig & config() const { return config_; }
    int64_t input() const { return input_; }           // values of all hidden states of a token
    uint64_t weights() const { return store_.size(); } // bytes
    void load(const Progress & progress);              // OUT_OF_MEMORY, CANCELLED

    // Reports stage "text". Errors: OUT_OF_MEMORY, CANCELLED.
    TextFeatures project(const HiddenStates & states, const Progress & progress);

protected:
    // What the video's and the sound's are called.
    struct Names {
        const char *part, *projection_part; // of the model
        const char *blocks, *projection;    // tensors
        const char * settings;              // before their names
    };
    Connector(const Model & model, Device & device, const Names & names);

private:
    static const Names video;
    Tensor features(Graph & g, const HiddenStates & states, int64_t first, int64_t count) const;
    Kept filled(const HiddenStates & states, const Progress & progress) const;

    Device & device_;
    ConnectorConfig config_;
    Store store_;
    int64_t input_;
    Linear aggregate_embed_;
    Tensor learnable_registers_;
    std::vector<ConnectorBlock> blocks_;
};

// The same for the text that the sound reads.
class AudioConnector : public Connector {
public:
    static constexpr const char * part = "audio_connector";
    static constexpr const char * projection_part = "audio_projection";

    AudioConnector(const Model & model, Device & device);
};

} // namespace ltx2
