// The layers of the video VAE: their weights, named as the checkpoint names them, and how many
// there are. layer_runs.h passes frames through them.
#pragma once

#include "graph/weights.h"
#include "vae/config.h"

#include <optional>
#include <variant>

namespace ltx2 {

struct VaeConvRun; // of layer_runs.h
struct VaeResRun;
struct VaeUpsampleRun;
struct VaeDownsampleRun;

// A convolution's weights, as a call without its frames.
Conv3dCall conv3d(const Weights & w, int64_t in, int64_t out, Border border, int kernel = 3,
                  bool flat = false);

// In these, a convolution is a call without its frames. With `activated`, it comes after PixelNorm
// and SiLU.
struct VaeConvLayer {
    using Run = VaeConvRun;
    Conv3dCall conv;
    bool activated;
};

// conv2(silu(norm(conv1(silu(norm(x)))))) + x, or + conv_shortcut(norm3(x)) where widths differ.
struct VaeResBlock {
    using Run = VaeResRun;
    Conv3dCall conv1, conv2;
    std::optional<Conv3dCall> conv_shortcut;
    Tensor norm3_weight = nullptr, norm3_bias = nullptr;

    VaeResBlock(const Weights & w, int64_t in, int64_t out, Border border);
};

// A convolution whose channels become time, rows and columns.
struct VaeUpsample {
    using Run = VaeUpsampleRun;
    Conv3dCall conv;
    VaeStage stage;
};

// Time, rows and columns become channels, of a convolution and, as means, of its input.
struct VaeDownsample {
    using Run = VaeDownsampleRun;
    Conv3dCall conv;
    VaeStage stage;
};

struct VaeLayer {
    std::string name; // the reference's module path
    int64_t in, out;  // channels
    std::variant<VaeConvLayer, VaeResBlock, VaeUpsample, VaeDownsample> weights;
    int down_time = 1, down_space = 1, up_time = 1, up_space = 1;
    std::string stage = {}; // the stage that ends here, or empty
};

// Weights are at "vae.encoder" or "vae.decoder". Errors: MODEL.
std::vector<VaeLayer> encoder_layers(const Weights & w, const VaeConfig & config);
// The weights of the first stages are asked for by `head`, and `head_layers` says how many layers
// these are: as long as all frames that leave them take no more memory than the video's bytes.
std::vector<VaeLayer> decoder_layers(const Weights & head, const Weights & tail,
                                     const VaeConfig & config, size_t & head_layers);

} // namespace ltx2
