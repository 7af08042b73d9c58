#include "vae/video_decoder.h"

#include "base/finite.h"

namespace ltx2 {

VideoDecoder::VideoDecoder(const Model & model, Device & device)
    : window(device.window()), config_(VaeConfig::decoder(model.need(part).group("vae"))),
      stream_(device, model.need(part), "vae.decoder", config_) {}

void VideoDecoder::load(const Progress & progress) { stream_.load(progress); }

// One row of patches [channels][width] -> `patch` rows of pixels, as bytes.
static void to_pixels(const float * patches, int64_t width, int64_t p, uint8_t * rows) {
    const int64_t line = width * p * 3;
    for (int64_t x = 0; x < width; ++x, patches += 3 * p * p)
        for (int64_t i = 0; i < 3; ++i)
            for (int64_t r = 0; r < p; ++r)
                for (int64_t q = 0; q < p; ++q) {
                    const float value = (patches[(i * p + r) * p + q] + 1.0f) / 2.0f;
                    // The comparisons send NaN to 0, which a cast would not.
                    const float byte = value > 0.0f ? (value < 1.0f ? value : 1.0f) * 255.0f : 0.0f;
                    rows[q * line + (x * p + r) * 3 + i] = static_cast<uint8_t>(byte);
                }
}

void VideoDecoder::decode(const Latents & latents, const Progress & progress, const Sink & sink) {
    const VaeConfig & c = config_;
    c.check(latents.grid);
    const int total = 1 + (latents.grid.frames - 1) * c.scale.time;
    progress("decode", 0, total);

    std::vector<float> input = latents.values;
    for (size_t at = 0; at < input.size(); ++at) {
        const size_t channel = at % static_cast<size_t>(latents.channels);
        input[at] = input[at] * stream_.deviations()[channel] + stream_.means()[channel];
    }
    int done = 0;
    std::vector<uint8_t> rows;
    const Shape ne = {latents.channels, latents.grid.width, latents.grid.height,
                      latents.grid.frames};
    stream_.run(input.data(), ne, window, {progress, "decode", total},
                [&](const std::vector<float> & values, Shape given) {
                    if (!sink)
                        return;
                    const int64_t lines = given[2] * given[3];
                    const int64_t line = given[1] * c.patch * c.patch * 3;
                    rows.resize(static_cast<size_t>(lines * line));
                    bool finite = true;
                    for (int64_t y = 0; y < lines; ++y) {
                        const int64_t count = given[1] * given[0];
                        const float * patches = values.data() + y * count;
                        finite = finite && all_finite(patches, static_cast<size_t>(count));
                        to_pixels(patches, given[1], c.patch, rows.data() + y * line);
                    }
                    sink(rows.data(), done, static_cast<int>(given[3]), finite);
                    done += static_cast<int>(given[3]);
                });
}

} // namespace ltx2
