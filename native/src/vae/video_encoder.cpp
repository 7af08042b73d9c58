#include "vae/video_encoder.h"

namespace ltx2 {

VideoEncoder::VideoEncoder(const Model & model, Device & device)
    : window(device.window()), config_(VaeConfig::encoder(model.need(part).group("vae"))),
      stream_(device, model.need(part), "vae.encoder", config_) {}

void VideoEncoder::load(const Progress & progress) { stream_.load(progress); }

// [frames][height][width][3] -> what conv_in reads: patches of pixels as channels.
static std::vector<float> patched(const float * pixels, int64_t frames, int64_t height,
                                  int64_t width, int64_t p) {
    const int64_t w = width / p, h = height / p, channels = 3 * p * p;
    std::vector<float> patches(static_cast<size_t>(channels * w * h * frames));
    float * to = patches.data();
    for (int64_t t = 0; t < frames; ++t)
        for (int64_t y = 0; y < h; ++y)
            for (int64_t x = 0; x < w; ++x, to += channels)
                for (int64_t q = 0; q < p; ++q) // the row in the patch is the fastest
                    for (int64_t r = 0; r < p; ++r) {
                        const float * rgb =
                            pixels + ((t * height + y * p + q) * width + x * p + r) * 3;
                        for (int64_t i = 0; i < 3; ++i)
                            to[(i * p + r) * p + q] = rgb[i];
                    }
    return patches;
}

Latents VideoEncoder::encode(std::vector<float> pixels, int frames, int height, int width,
                             const Progress & progress) {
    const VaeConfig & c = config_;
    check_size("clip", frames, height, width, 16384);
    if ((frames - 1) % c.scale.time || height % c.scale.space || width % c.scale.space)
        fail(LTX2_STATUS_INVALID_ARGUMENT, "clip: %d frames of %d x %d are not %dk+1 of %dm x %dn",
             frames, width, height, c.scale.time, c.scale.space, c.scale.space);
    Latents out;
    out.grid = {(frames - 1) / c.scale.time + 1, height / c.scale.space, width / c.scale.space};
    out.channels = static_cast<int>(c.latent_channels);
    out.values.reserve(static_cast<size_t>(out.size()));
    const Shape ne = {3 * c.patch * c.patch, width / c.patch, height / c.patch, frames};
    const std::vector<float> patches = pixels.empty()
                                           ? std::vector<float>()
                                           : patched(pixels.data(), frames, height, width, c.patch);
    pixels = std::vector<float>(); // a video's are large; clear() would keep their memory
    stream_.run(patches.data(), ne, window, {progress, nullptr, 0},
                [&](const std::vector<float> & values, Shape given) {
                    // Means first, then the variance, which is not read.
                    for (const float * cell = values.data(); cell < values.data() + values.size();
                         cell += given[0])
                        for (size_t i = 0; i < static_cast<size_t>(out.channels); ++i)
                            out.values.push_back((cell[i] - stream_.means()[i]) /
                                                 stream_.deviations()[i]);
                });
    out.values.resize(static_cast<size_t>(out.size())); // of a device that counts nothing came
    return out;
}

} // namespace ltx2
