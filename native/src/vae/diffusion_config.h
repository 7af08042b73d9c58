// What the `vae.decoder` group of a checkpoint's config states about the decoder that denoises
// pixels, checked.
#pragma once

#include "vae/config.h"

namespace ltx2 {

struct DiffusionStage {
    int64_t width;
    int depth;
    int window[3];                          // frames, rows, columns
    int time = 1, space = 1, reduction = 1; // of the upsampling that follows, if one does
    int64_t out = 0;                        // its width
};

struct DiffusionConfig {
    VaeConfig vae;                      // what all decoders state
    std::vector<DiffusionStage> stages; // the last one denoises
    int64_t head_dim = 0, time_width = 0;
    double timestep_scale = 0;
    int steps = 1;
    bool gives_velocity = false; // and not the frames themselves

    explicit DiffusionConfig(const Config & vae); // MODEL naming the key
    const DiffusionStage & last() const { return stages.back(); }
    // Frames of latents that repeat the last one, so that the windows at the end are of frames
    // that are not shown.
    int ghosts() const { return stages[0].window[0] / 2 * 2; }
    // The smallest grid of latents whose windows all fit.
    Grid least() const;
};

} // namespace ltx2
