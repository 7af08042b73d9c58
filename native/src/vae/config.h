// What the `vae` group of a checkpoint's config states about the encoder or the decoder, checked.
#pragma once

#include "files/config.h"
#include "graph/ops.h"
#include "sampling/latents.h"

namespace ltx2 {

struct VaeStage {
    enum class Kind {
        res,     // res_x: blocks of equal width
        res_to,  // res_x_y: one block to another width
        strided, // the older encoders' way down: a convolution that skips
        shuffled // space to depth or back around a convolution
    };
    Kind kind;
    std::string name;        // in the config
    int64_t in, out;         // channels
    int layers = 1;          // of res
    int time = 1, space = 1; // the strides, 1 or 2
    bool residual = false;   // of a shuffled stage of the decoder
    int64_t parts() const { return int64_t{time} * space * space; }
};

struct VaeConfig {
    int64_t latent_channels = 0, patch = 0;
    Border border = Border::zeros;
    bool causal = false;
    std::vector<VaeStage> stages; // in the order they run
    int64_t first_width = 0, last_width = 0;
    int64_t out_channels = 0; // of conv_out
    Scale scale;

    // Errors: MODEL naming the key.
    // The encoder's may be a group of its own, beside that of a decoder of another kind.
    static VaeConfig encoder(const Config & all);
    static VaeConfig decoder(const Config & vae);
    // What a decoder of this config would refuse. INVALID_ARGUMENT.
    void check(const Grid & latents) const;
    int64_t least_side() const { return border == Border::reflect ? 2 : 1; } // of a layer's frames
    // INVALID_ARGUMENT where a layer's frames are too small to be reflected.
    void check_sides(int64_t a, int64_t b) const;
    // Whether frames can pass a few at a time: res_x_y takes a mean over the whole video.
    bool streams() const;
};

// Sizes that fit 32-bit counts with room for every layer's width. INVALID_ARGUMENT.
void check_size(const char * what, int64_t frames, int64_t height, int64_t width, int64_t most);

} // namespace ltx2
