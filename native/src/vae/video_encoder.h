// Pictures or clips -> latents, a few frames at a time, with the same bits as all at once.
#pragma once

#include "sampling/latents.h"
#include "vae/stream.h"

namespace ltx2 {

class VideoEncoder {
public:
    static constexpr const char * part = "video_vae";

    // Checks the config and every tensor; reads no weights. MODEL.
    VideoEncoder(const Model & model, Device & device);

    const VaeConfig & config() const { return config_; }
    void load(const Progress & progress); // OUT_OF_MEMORY, CANCELLED

    // `pixels` [frames][height][width][3] in [-1, 1], 1 + k * scale.time frames; none where the
    // device counts. Reports nothing, but can be stopped. Errors: INVALID_ARGUMENT, OUT_OF_MEMORY,
    // CANCELLED.
    Latents encode(std::vector<float> pixels, int frames, int height, int width,
                   const Progress & progress);

    // Bytes of frames that a layer takes at once; 0: all of them.
    size_t window;

private:
    VaeConfig config_;
    VaeStream stream_;
};

} // namespace ltx2
