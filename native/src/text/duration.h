// The duration head: the text features of a prompt -> how long such a shot lasts. A learned query
// looks at the rows that the diffusion transformer reads, the video's and the sound's, and a small
// MLP makes the logarithm of seconds of what it sees.
#pragma once

#include "graph/layers.h"
#include "sampling/text_features.h"

namespace ltx2 {

class DurationHead {
public:
    static constexpr const char * part = "duration_head";
    static constexpr double least_seconds = 1, most_seconds = 20; // that it was trained to tell

    // Sizes are read off the tensors. Reads no weights. MODEL.
    DurationHead(const Model & model, Device & device);

    int64_t video_width() const { return video_input_proj_.weight.k(); } // of the rows it reads
    int64_t audio_width() const { return audio_input_proj_.weight.k(); }
    void load(const Progress & progress) { store_.load(progress); } // OUT_OF_MEMORY, CANCELLED

    // Of the video's rows, or of these with the sound's beside them. Not finite where weights are
    // damaged. Errors: OUT_OF_MEMORY, CANCELLED.
    float log_seconds(const TextFeatures & text, const Progress & progress) const;

private:
    Device & device_;
    Store store_;
    Weights own_;
    int64_t width_, queries_;
    Linear video_input_proj_, audio_input_proj_;
    Tensor video_modality_emb_, audio_modality_emb_, query_tokens_;
    std::vector<Linear> in_proj_; // of queries, keys and values, together or each by itself
    Linear out_proj_, mlp_hidden_, mlp_out_;
};

// How many frames last so long, or as near as it may tell: `step` times some, and one.
int frames_lasting(double seconds, double fps, int step);

} // namespace ltx2
