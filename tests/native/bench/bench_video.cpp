#include "bench.h"
#include "dit/dit.h"
#include "sampling/geometry.h"
#include "text/connector.h"
#include "text/gemma3.h"
#include "text/gemma3_config.h"
#include "vae/video_vae.h"

#include <memory>

namespace ltx2 {

namespace {
struct Video {
    Model ltx, text;
    GemmaConfig config;
    Geometry geometry;
    std::vector<int32_t> ids;
    std::vector<float> schedule;
    Gemma gemma;
    Connector connector;
    Dit dit;
    VideoVae vae;

    Video(Device & device, const std::string & folder, int steps)
        : ltx(folder + "/ltx.gguf"), text(folder + "/gemma.gguf"), config(gemma_config(text.file)),
          geometry(256, 256, 17, 24, 128), schedule(sigmas("distilled", 8)),
          gemma(device, text.index, config, quiet),
          connector(device, ltx.index, ltx.config, config, quiet),
          dit(device, ltx.index, ltx.config, quiet), vae(device, ltx.index, ltx.config) {
        for (int i = 0; i < 128; ++i)
            ids.push_back(i);
        schedule.resize(static_cast<size_t>(steps) + 1);
    }
};
} // namespace

static State noise_state(const Geometry & g) {
    State state;
    state.tokens = g.tokens(), state.channels = g.channels;
    state.latents = random_values(g.latent_size());
    state.clean = state.latents;
    state.mask.assign(static_cast<size_t>(g.tokens()), 1.0f);
    return state;
}

Run video_run(Device & device, const std::string & folder, int steps) {
    auto video = std::make_shared<Video>(device, folder, steps);
    return [video, &device] {
        Video & v = *video;
        const Geometry & g = v.geometry;
        std::vector<double> stages;
        Clock clock;
        const std::vector<float> states = v.gemma.encode(v.ids, quiet);
        device.trim();
        stages.push_back(clock.lap());
        const std::vector<float> text =
            v.connector.project(states, static_cast<int64_t>(v.ids.size()), quiet);
        device.trim();
        stages.push_back(clock.lap());
        State state = noise_state(g);
        Sampling sampling;
        sampling.schedule = "distilled", sampling.guidance = 1, sampling.stg = 0;
        v.dit.prepare(video_positions(g), text, {}, {});
        denoise(state, sampling, v.schedule, quiet,
                [&](const State & now, float sigma) { return v.dit.velocity(now, sigma, quiet); });
        device.trim();
        stages.push_back(clock.lap());
        const std::vector<float> latents =
            from_tokens(state.latents.data(), g.tokens(), g.channels);
        v.vae.decode(latents.data(), g.latent_frames(), g.latent_height(), g.latent_width(), quiet,
                     [](const uint8_t *, int, int) {});
        device.trim();
        stages.push_back(clock.lap());
        return stages;
    };
}

} // namespace ltx2
