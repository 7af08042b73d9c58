// The decoder of convolutions: a few frames at a time, with the same bits as all at once.
#pragma once

#include "vae/stream.h"
#include "vae/video_decoder.h"

namespace ltx2 {

class ConvDecoder : public VideoDecoder {
public:
    ConvDecoder(const Model & model, Device & device);

    const VaeConfig & config() const override { return config_; }
    uint64_t weights() const override { return stream_.weights(); }
    void load(const Progress & progress) override { stream_.load(progress); }
    void decode(const Latents & latents, const Noise & noise, const Progress & progress,
                const Sink & sink) override;

private:
    VaeConfig config_;
    VaeStream stream_;
};

} // namespace ltx2
