// One transformer block of the DiT, its config, and the modulation that all blocks read.
#pragma once

#include "graph/layers.h"

namespace ltx2 {

struct DitConfig {
    int layers, heads, head_dim, in_channels, out_channels, context_width;
    float eps;
    double theta, timestep_scale;
    std::vector<double> max_pos;
    bool gated, adaln_text, float64_grid;

    explicit DitConfig(const Part & part); // MODEL: what LTX-2.3 does not have
    int width() const { return heads * head_dim; }
    int table_rows() const { return adaln_text ? 9 : 6; }
};

constexpr int sinusoid_width = 256; // of a timestep

// timestep -> [hidden] by a sinusoid and two linears; `linear` makes the modulation rows of it.
struct AdaLayerNormSingle {
    Linear linear_1, linear_2, linear;

    AdaLayerNormSingle(const Weights & w, int width, int rows);
    // timesteps [256, n] as sinusoids -> embedded [width, n], rows [width * rows, n]
    void operator()(Graph & g, Tensor sinusoids, Tensor & embedded, Tensor & rows) const;
};

// What a block reads besides the hidden state, all for one step.
struct Modulation {
    Tensor rows;   // [width, table rows, distinct timesteps]
    Tensor prompt; // [width, 2], null without adaln_text
    Tensor index;  // [tokens] I32: which timestep a token has; null where there is but one
    Rotary rotary;
};

struct Block {
    Attention attn1, attn2; // over itself; over the text
    FeedForward ff;
    Tensor scale_shift_table, prompt_scale_shift_table = nullptr;
    float eps;

    Block(const Weights & w, const DitConfig & c);
    // x [width, tokens], which our own kernels overwrite, context [width, rows]; `perturbed`: attn1
    // passes its values through; `path` prefixes the names of its taps.
    Tensor operator()(Graph & g, Tensor x, Tensor context, const Modulation & m, bool perturbed,
                      const std::string & path) const;
};

} // namespace ltx2
