#include "vae/conv_decoder.h"

#include "base/finite.h"

namespace ltx2 {

ConvDecoder::ConvDecoder(const Model & model, Device & device)
    : config_(VaeConfig::decoder(model.need(part).group("vae"))),
      stream_(device, model.need(part), "vae.decoder", config_) {
    window = device.window();
}

void ConvDecoder::decode(const Latents & latents, const Noise &, const Progress & progress,
                         const Sink & sink) {
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
