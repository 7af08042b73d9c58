// The layers of the video VAE: their weights, named as the checkpoint names them, and how many
// there are. layer_runs.h passes frames through them.
#pragma once

#include "graph/weights.h"
#include "vae/config.h"

#include <variant>

namespace ltx2 {

struct VaeConv {
    Tensor weight, bias;
    int kernel, stride_time = 1, stride_space = 1;
    Border border;

    VaeConv(const Weights & w, int64_t in, int64_t out, Border border, int kernel = 3);
};

struct VaeConvRun; // of layer_runs.h
struct VaeResRun;
struct VaeUpsampleRun;
struct VaeDownsampleRun;

// A convolution; with `activated`, behind PixelNorm and SiLU.
struct VaeConvLayer {
    using Run = VaeConvRun;
    VaeConv conv;
    bool activated;
};

// conv2(silu(norm(conv1(silu(norm(x)))))) + x, or + conv_shortcut(norm3(x)) where widths differ.
struct VaeResBlock {
    using Run = VaeResRun;
    VaeConv conv1, conv2;
    std::vector<VaeConv> conv_shortcut; // none or one
    Tensor norm3_weight = nullptr, norm3_bias = nullptr;

    VaeResBlock(const Weights & w, int64_t in, int64_t out, Border border);
};

// A convolution whose channels become time, rows and columns.
struct VaeUpsample {
    using Run = VaeUpsampleRun;
    VaeConv conv;
    VaeStage stage;
};

// Time, rows and columns become channels, of a convolution and, as means, of its input.
struct VaeDownsample {
    using Run = VaeDownsampleRun;
    VaeConv conv;
    VaeStage stage;
};

struct VaeLayer {
    std::string name;  // the reference's module path
    std::string stage; // the stage that ends here, or empty
    int64_t in, out;   // channels
    int down_time = 1, down_space = 1, up_time = 1, up_space = 1;
    std::variant<VaeConvLayer, VaeResBlock, VaeUpsample, VaeDownsample> weights;
};

// `w` is at "vae.encoder" or "vae.decoder". Errors: MODEL.
std::vector<VaeLayer> encoder_layers(const Weights & w, const VaeConfig & config);
std::vector<VaeLayer> decoder_layers(const Weights & w, const VaeConfig & config);

} // namespace ltx2
