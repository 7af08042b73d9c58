// Latents -> frames: what a video decoder is, and which one a model has.
#pragma once

#include "graph/device.h"
#include "model/model.h"
#include "sampling/latents.h"
#include "vae/config.h"

namespace ltx2 {

class VideoDecoder {
public:
    static constexpr const char * part = "video_vae";

    virtual ~VideoDecoder() = default;
    virtual const VaeConfig & config() const = 0;
    virtual uint64_t weights() const = 0;             // bytes
    virtual void load(const Progress & progress) = 0; // OUT_OF_MEMORY, CANCELLED

    // Called with frames as they are finished, in order: `rows` [count][height][width][3], gone
    // after the call; `first` is the number of the first one. Pixels of values that are not finite
    // are of any colour, and `finite` is false. Null: nothing is done with them.
    using Sink = std::function<void(const uint8_t * rows, int first, int count, bool finite)>;
    // Values first .. first + count of normal noise [3, frames, height, width], for a decoder that
    // denoises; `first` and `count` are multiples of four.
    using Noise = std::function<std::vector<float>(int64_t first, int64_t count)>;
    // 1 + (latent frames - 1) * scale.time frames. Reports stage "decode". Errors:
    // INVALID_ARGUMENT, OUT_OF_MEMORY, CANCELLED.
    virtual void decode(const Latents & latents, const Noise & noise, const Progress & progress,
                        const Sink & sink) = 0;

    // Bytes of frames that are computed on at once; 0: as many as the decoder finds good.
    size_t window = 0;
};

// Checks the config and every tensor; reads no weights. MODEL.
std::unique_ptr<VideoDecoder> open_video_decoder(const Model & model, Device & device);

// One row of patches [width][channels] -> `patch` rows of pixels, as bytes.
void to_pixels(const float * patches, int64_t width, int64_t patch, uint8_t * rows);

} // namespace ltx2
