// Gemma's hidden states -> the text features the DiT attends to: the feature extractor (each
// layer's states normed, one wide linear), then transformer blocks over the text's rows and learned
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

    // `prefix`: of the names of what each modality has for itself. MODEL: what no LTX-2 has.
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
    int64_t input() const { return input_; } // values of all hidden states of a token
    const Part & projection() const { return *projection_.part; }
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
    // The wide linear. A model has one for each modality, whose tokens are normed one by one, or
    // one that they share, where all tokens of a layer are normed together.
    struct Projection {
        const Part * part;
        const char * name;
        bool is_shared;

        Projection(const Model & model, const Names & names);
    };
    // By layer, what is added to the values of all tokens, and what they are multiplied with then.
    struct Norms {
        std::vector<float> shift, scale;
    };
    Norms norms_of(const HiddenStates & states, const Progress & progress) const;
    Tensor features(Graph & g, const HiddenStates & states, const Norms & norms, int64_t first,
                    int64_t count) const;
    Kept filled(const HiddenStates & states, const Progress & progress) const;

    Device & device_;
    ConnectorConfig config_;
    Projection projection_;
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
    // Its own, or the one that it shares with the video.
    static bool has_projection(const Model & model);
};

} // namespace ltx2
