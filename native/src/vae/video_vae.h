// The video VAE: pictures or clips -> latents, latents -> frames. Each half of it is loaded when it
// is first used; both work on a few frames at a time, with the same bits as on all at once.
#pragma once

#include "vae/stream.h"

namespace ltx2 {

class VideoVae {
public:
    // `config` is the checkpoint's whole config. Reads no weights. Errors: MODEL.
    VideoVae(Device & device, const Index & index, const Json & config);

    int latent_channels() const;
    int time_scale() const;  // frames a latent, after the first
    int pixel_scale() const; // pixels a latent, in each direction

    // `pixels` [frames][height][width][3] in [-1, 1] -> normalised latents
    // [channels][1 + (frames-1)/time_scale][height/pixel_scale][width/pixel_scale].
    // Reports "load" where it loads, else nothing, and stops when told to. Errors:
    // INVALID_ARGUMENT, MODEL, OUT_OF_MEMORY, CANCELLED.
    std::vector<float> encode(const float * pixels, int frames, int height, int width,
                              const Progress & progress);

    // Called with frames as they are finished, in order: `rows` [count][height][width][3], gone
    // after the call; `first` is the number of the first one.
    using Sink = std::function<void(const uint8_t * rows, int first, int count)>;
    // `latents` [channels][frames][height][width], normalised -> 1 + (frames-1)*time_scale frames.
    // Reports stage "decode". Errors: as encode.
    void decode(const float * latents, int frames, int height, int width, const Progress & progress,
                const Sink & sink);

    // What `decode` would refuse. INVALID_ARGUMENT.
    void check_decode(int frames, int height, int width) const;

    void release(); // the weights; they are loaded again when needed

    // Bytes of frames that a layer takes at once; 0: all of them.
    size_t window = size_t{16} << 20;

private:
    Device & device_;
    const Index & index_;
    VaeConfig encoder_config_, decoder_config_;
    std::unique_ptr<VaeChain> encoder_, decoder_;
};

} // namespace ltx2
