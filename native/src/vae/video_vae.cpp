#include "vae/video_vae.h"

#include <algorithm>

namespace ltx2 {

VideoVae::VideoVae(Device & device, const Index & index, const Json & config)
    : device_(device), index_(index), encoder_config_(VaeConfig::encoder(config)),
      decoder_config_(VaeConfig::decoder(config)) {
    const VaeConfig &e = encoder_config_, &d = decoder_config_;
    if (e.time_scale != d.time_scale || e.pixel_scale != d.pixel_scale)
        fail(LTX2_STATUS_MODEL,
             "config vae: the encoder takes %d frames of %d x %d pixels to a latent, and the "
             "decoder gives %d of %d x %d",
             e.time_scale, e.pixel_scale, e.pixel_scale, d.time_scale, d.pixel_scale,
             d.pixel_scale);
}

int VideoVae::latent_channels() const { return static_cast<int>(decoder_config_.latent_channels); }
int VideoVae::time_scale() const { return decoder_config_.time_scale; }
int VideoVae::pixel_scale() const { return decoder_config_.pixel_scale; }

void VideoVae::release() {
    encoder_.reset();
    decoder_.reset();
}

static VaeChain & loaded(std::unique_ptr<VaeChain> & half, Device & device, const Index & index,
                         const char * prefix, const VaeConfig & config, const Progress & progress) {
    if (!half) {
        auto chain = std::make_unique<VaeChain>(device, index, prefix, config);
        chain->load(progress);
        half = std::move(chain);
    }
    return *half;
}

// Sizes that fit 32-bit counts with room for every layer's width.
static void check_size(const char * what, int64_t frames, int64_t height, int64_t width,
                       int64_t most) {
    if (frames < 1 || height < 1 || width < 1 || frames > 65536 || height > most || width > most)
        fail(LTX2_STATUS_INVALID_ARGUMENT, "%s: %lld x %lld x %lld is not a size that fits", what,
             static_cast<long long>(frames), static_cast<long long>(height),
             static_cast<long long>(width));
}

std::vector<float> VideoVae::encode(const float * pixels, int frames, int height, int width,
                                    const Progress & progress) {
    const VaeConfig & c = encoder_config_;
    check_size("clip", frames, height, width, 16384);
    if ((frames - 1) % c.time_scale || height % c.pixel_scale || width % c.pixel_scale)
        fail(LTX2_STATUS_INVALID_ARGUMENT, "clip: %d frames of %d x %d are not %dk+1 of %dm x %dn",
             frames, width, height, c.time_scale, c.pixel_scale, c.pixel_scale);
    VaeChain & encoder = loaded(encoder_, device_, index_, "vae.encoder", c, progress);

    const int64_t p = c.patch, w = width / p, h = height / p, channels = 3 * p * p;
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

    const int64_t latent_frames = (frames - 1) / c.time_scale + 1;
    const int64_t latent_area = int64_t{height / c.pixel_scale} * (width / c.pixel_scale);
    std::vector<float> latents(
        static_cast<size_t>(c.latent_channels * latent_frames * latent_area));
    int64_t done = 0;
    encoder.run(patches.data(), {channels, w, h, frames}, window, {progress, nullptr, 0},
                [&](const std::vector<float> & values, Shape ne) {
                    for (int64_t i = 0; i < c.latent_channels; ++i) {
                        const size_t n = static_cast<size_t>(i);
                        const float mean = encoder.means()[n], deviation = encoder.deviations()[n];
                        float * out = latents.data() + (i * latent_frames + done) * latent_area;
                        const float * in = values.data() + i; // means first, then the variance
                        for (int64_t at = 0; at < ne[3] * latent_area; ++at, in += ne[0])
                            out[at] = (*in - mean) / deviation;
                    }
                    done += ne[3];
                });
    return latents;
}

// One row of patches [channels][width] -> `patch` rows of pixels, as bytes.
static void to_pixels(const float * patches, int64_t width, int64_t p, uint8_t * rows) {
    const int64_t line = width * p * 3;
    for (int64_t x = 0; x < width; ++x, patches += 3 * p * p)
        for (int64_t i = 0; i < 3; ++i)
            for (int64_t r = 0; r < p; ++r)
                for (int64_t q = 0; q < p; ++q) {
                    const float value = (patches[(i * p + r) * p + q] + 1.0f) / 2.0f;
                    // The comparisons send NaN to 0.
                    const float byte = value > 0.0f ? (value < 1.0f ? value : 1.0f) * 255.0f : 0.0f;
                    rows[q * line + (x * p + r) * 3 + i] = static_cast<uint8_t>(byte);
                }
}

void VideoVae::check_decode(int frames, int height, int width) const {
    check_size("latents", frames, height, width, 16384 / decoder_config_.pixel_scale);
    decoder_config_.check_sides(height, width);
}

void VideoVae::decode(const float * latents, int frames, int height, int width,
                      const Progress & progress, const Sink & sink) {
    const VaeConfig & c = decoder_config_;
    check_decode(frames, height, width);
    VaeChain & decoder = loaded(decoder_, device_, index_, "vae.decoder", c, progress);
    const int total = 1 + (frames - 1) * c.time_scale;
    progress("decode", 0, total);

    const int64_t area = int64_t{height} * width, cells = frames * area;
    std::vector<float> input(static_cast<size_t>(c.latent_channels * cells));
    for (int64_t i = 0; i < c.latent_channels; ++i) {
        const size_t n = static_cast<size_t>(i);
        const float mean = decoder.means()[n], deviation = decoder.deviations()[n];
        for (int64_t at = 0; at < cells; ++at)
            input[static_cast<size_t>(at * c.latent_channels + i)] =
                latents[i * cells + at] * deviation + mean;
    }
    int done = 0;
    std::vector<uint8_t> rows;
    decoder.run(input.data(), {c.latent_channels, width, height, frames}, window,
                {progress, "decode", total}, [&](const std::vector<float> & values, Shape ne) {
                    const int64_t lines = ne[2] * ne[3], line = ne[1] * c.patch * c.patch * 3;
                    rows.resize(static_cast<size_t>(lines * line));
                    for (int64_t y = 0; y < lines; ++y)
                        to_pixels(values.data() + y * ne[1] * ne[0], ne[1], c.patch,
                                  rows.data() + y * line);
                    sink(rows.data(), done, static_cast<int>(ne[3]));
                    done += static_cast<int>(ne[3]);
                });
}

} // namespace ltx2
