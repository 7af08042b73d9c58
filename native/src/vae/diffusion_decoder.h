// The decoder that denoises: stages of attention over windows enlarge the latents to what is to be
// seen, and a last one makes pixels of noise with it. The first stages see the whole video; the
// last two, whose values are many, see tiles of it that overlap and are blended.
#pragma once

#include "vae/diffusion_layers.h"
#include "vae/video_decoder.h"

#include <map>

namespace ltx2 {

class DiffusionDecoder : public VideoDecoder {
public:
    static bool is_in(const Model & model);
    DiffusionDecoder(const Model & model, Device & device);

    const VaeConfig & config() const override { return config_.vae; }
    uint64_t weights() const override { return store_.size(); }
    void load(const Progress & progress) override { store_.load(progress); }
    void decode(const Latents & latents, const Noise & noise, const Progress & progress,
                const Sink & sink) override;

    // What windows of the last stage see past the first and the last column: copies of these, as
    // the official code; else they are moved inward, as at the other borders.
    bool copied = true;

private:
    class Run;
    struct Stage {
        std::vector<WindowBlock> blocks;
        std::optional<Linear> upsample;
    };
    Stage stage_of(const Weights & w, size_t i) const;

    Device & device_;
    DiffusionConfig config_;
    const Part & part_;
    Store store_;
    Linear conv_in_;
    std::vector<Stage> stages_;
    Linear conv_in_x_t_, time_in_, time_out_, shared_adaln_;
    RmsNorm norm_out_;
    Linear conv_out_;
};

} // namespace ltx2
