// The latent upsampler: latents -> latents of twice the rows and columns, one and a half times
// them, or twice the frames. Its convolutions see zeros around the video, in time too, and its
// norms all of it, so the video passes as a whole.
#pragma once

#include "graph/graph.h"
#include "sampling/latents.h"
#include "vae/layers.h"

namespace ltx2 {

// Over each of 32 groups of channels, all positions and frames; then weight and bias per channel.
struct GroupNorm {
    Tensor weight, bias; // [channels]

    GroupNorm(const Weights & w, int64_t channels);
    Tensor operator()(Graph & g, Tensor x) const;
};

// silu(norm2(conv2(silu(norm1(conv1(x))))) + x)
struct UpsamplerBlock {
    Conv3dCall conv1, conv2;
    GroupNorm norm1, norm2;

    UpsamplerBlock(const Weights & w, int64_t channels);
};

class Upsampler {
public:
    static constexpr const char * part = "upsampler";
    static constexpr const char * temporal_part = "temporal_upsampler"; // of the frames alone

    // One of these two. Sizes are read off the tensors. Reads no weights. MODEL.
    Upsampler(const Model & model, Device & device, const char * id = part);

    const char * id() const { return id_; }

    void load(const Progress & progress); // OUT_OF_MEMORY, CANCELLED
    uint64_t weights() const { return store_.size(); }
    int64_t channels() const { return channels_; } // of the latents
    Grid enlarged(const Grid & grid) const;        // the size of what enlarge() gives

    // Of latents as the VAE has them: not normalised. Errors: OUT_OF_MEMORY, CANCELLED.
    Latents enlarge(const Latents & latents, const Progress & progress) const;

private:
    struct Kind {
        int time = 1, space = 1; // channels become so many frames, and rows and columns
        int thin = 1;            // of those rows and columns every so many-th is kept
        bool named;              // its convolution has a name of its own
    };
    static Kind kind_of(const Weights & w, int64_t width);
    Kept through(const UpsamplerBlock & block, Kept x, const Progress & progress) const;
    Kept grown(Kept x, const Progress & progress) const;
    Kept thinned(Kept x) const;

    Device & device_;
    const char * id_;
    Store store_;
    int64_t width_, channels_;
    Kind kind_;
    Conv3dCall initial_conv_, grow_conv_, final_conv_;
    GroupNorm initial_norm_;
    std::vector<UpsamplerBlock> res_blocks_, post_upsample_res_blocks_;
};

} // namespace ltx2
