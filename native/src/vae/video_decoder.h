// Latents -> frames, a few at a time, with the same bits as all at once.
#pragma once

#include "sampling/latents.h"
#include "vae/stream.h"

namespace ltx2 {

class VideoDecoder {
public:
    static constexpr const char * part = "video_vae";

    // Checks the config and every tensor; reads no weights. MODEL.
    VideoDecoder(const Model & model, Device & device);

    const VaeConfig & config() const { return config_; }
    uint64_t weights() const { return stream_.weights(); } // bytes
    void load(const Progress & progress);                  // OUT_OF_MEMORY, CANCELLED

    // Called with frames as they are finished, in order: `rows` [count][height][width][3], gone
    // after the call; `first` is the number of the first one. Pixels of values that are not finite
    // are of any colour, and `finite` is false. Null: nothing is done with them.
    using Sink = std::function<void(const uint8_t * rows, int first, int count, bool finite)>;
    // 1 + (latent frames - 1) * scale.time frames. Reports stage "decode". Errors:
    // INVALID_ARGUMENT, OUT_OF_MEMORY, CANCELLED.
    void decode(const Latents & latents, const Progress & progress, const Sink & sink);

    // Bytes of frames that a layer takes at once; 0: all of them.
    size_t window;

private:
    VaeConfig config_;
    VaeStream stream_;
};

} // namespace ltx2
