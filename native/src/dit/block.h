// One transformer block of the DiT, its config, and the modulation that all blocks read.
#pragma once

#include "graph/layers.h"

#include <algorithm>
#include <optional>

namespace ltx2 {

// One modality: the video, or its sound, whose tensors and settings have names that begin with
// "audio_".
struct StreamConfig {
    const char * prefix;
    int heads, head_dim, channels; // channels: of a token's latents
    std::vector<double> max_pos;   // one an axis: time, and of the video rows and columns
    bool ff_bias = true;

    StreamConfig(const Config & transformer, const char * prefix, const StreamConfig & usual);
    StreamConfig(const char * prefix, int heads, int head_dim, std::vector<double> max_pos)
        : prefix(prefix), heads(heads), head_dim(head_dim), channels(128),
          max_pos(std::move(max_pos)) {}
    int width() const { return heads * head_dim; }
};

struct DitConfig {
    int layers;
    StreamConfig video;
    std::optional<StreamConfig> audio; // where the model makes sound
    float eps;
    double theta, timestep_scale;
    double gate_scale; // of the timesteps of the gates between the modalities
    bool gated, adaln_text, float64_grid;
    int caption_channels = 0; // of the text's rows, where the transformer projects them

    DitConfig(const Part & part, bool with_audio); // MODEL: what no LTX-2 has
    int text_width(const StreamConfig & s) const {
        return caption_channels ? caption_channels : s.width();
    }
    int table_rows() const { return adaln_text ? 9 : 6; }
    double cross_max_pos() const { return std::max(video.max_pos[0], audio->max_pos[0]); }
};

constexpr int sinusoid_width = 256; // of a timestep

// timestep -> [hidden] by a sinusoid and two linears; `linear` makes the modulation rows of it.
struct AdaLayerNormSingle {
    Linear linear_1, linear_2, linear;

    AdaLayerNormSingle(const Weights & w, int width, int rows);
    // timesteps [256, n] as sinusoids -> embedded [width, n], rows [width * rows, n]
    void operator()(Graph & g, Tensor sinusoids, Tensor & embedded, Tensor & rows) const;
};

// What a block reads besides the hidden state of a modality, all for one step.
struct Modulation {
    Tensor rows;   // [width, table rows, distinct timesteps]
    Tensor prompt; // [width, 2], null without adaln_text
    Tensor index;  // [tokens] I32: which timestep a token has; null where there is but one
    Rotary rotary;
    std::vector<TokenGroup> groups; // of the tokens, for attn1; none: all see all
    // For the attention between modalities: scale and shift of where the video looks at the sound,
    // the same of where the sound looks at the video, and a gate.
    Tensor cross_rows = nullptr; // [width, 5, distinct timesteps]
    Rotary cross_rotary = {};
};

struct StreamBlock {
    Attention attn1, attn2; // over itself; over the text
    FeedForward ff;
    Tensor scale_shift_table, prompt_scale_shift_table = nullptr;

    StreamBlock(const Weights & w, const DitConfig & c, const StreamConfig & s);
};

// How the modalities look at each other.
struct CrossBlock {
    Attention audio_to_video_attn, video_to_audio_attn;
    Tensor video_table, audio_table; // [width, 5]

    CrossBlock(const Weights & w, const DitConfig & c);
};

// A modality in a block: its hidden state, which our own kernels overwrite, its text and more.
struct StreamInput {
    Tensor x, context; // [width, tokens], [width, rows]
    Modulation modulation;
    bool perturbed = false; // attn1 passes its values through
};

struct Block {
    StreamBlock video;
    std::optional<StreamBlock> audio;
    std::optional<CrossBlock> cross;
    float eps;

    // `sound`: where the sound's weights are, or null.
    Block(const Weights & w, const Weights * sound, const DitConfig & c);
    // The new hidden states, of one or both. `isolated`: neither looks at the other; `path`
    // prefixes the names of the taps.
    std::vector<Tensor> operator()(Graph & g, const std::vector<StreamInput> & in, bool isolated,
                                   const std::string & path) const;
};

} // namespace ltx2
