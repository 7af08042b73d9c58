#include "bench.h"
#include "dit/dit.h"
#include "sampling/schedules.h"
#include "text/connector.h"
#include "text/encoder.h"
#include "vae/video_decoder.h"

namespace ltx2 {

namespace {
struct Video {
    Model model;
    Grid grid = {3, 8, 8}; // 17 frames of 256 x 256
    Stage stage;
    std::vector<int32_t> ids;
    std::unique_ptr<TextEncoder> encoder;
    Connector connector;
    Dit dit;
    std::unique_ptr<VideoDecoder> decoder;

    Video(Device & device, const std::string & folder, int steps)
        : model({folder + "/ltx.gguf", folder + "/gemma.gguf"}),
          stage{sigmas("distilled", 8), {1, 0, 0, {}}}, encoder(open_text_encoder(model, device)),
          connector(model, device), dit(model, device), decoder(open_video_decoder(model, device)) {
        encoder->load(quiet);
        connector.load(quiet);
        dit.load(quiet);
        decoder->load(quiet);
        for (int i = 0; i < 128; ++i)
            ids.push_back(i);
        stage.sigmas.resize(static_cast<size_t>(steps) + 1);
    }
};
} // namespace

Run video_run(Device & device, const std::string & folder, int steps) {
    auto video = std::make_shared<Video>(device, folder, steps);
    return [video, &device] {
        Video & v = *video;
        std::vector<double> stages;
        Clock clock;
        const auto end_stage = [&] {
            device.trim();
            stages.push_back(clock.lap());
        };
        const HiddenStates states = v.encoder->encode(v.ids, quiet);
        end_stage();
        const TextFeatures text = v.connector.project(states, quiet);
        end_stage();
        State state = {noise_stream(v.dit.config().video.channels,
                                    video_positions(v.grid, v.decoder->config().scale, 24))};
        {
            DitRun run(v.dit, {{state[0].positions, text}});
            denoise(state, v.stage, quiet, [&](const State & now, float sigma) {
                return run.velocity(now, sigma, quiet);
            });
        }
        end_stage();
        v.decoder->decode({v.grid, state[0].channels, state[0].latents}, noise, quiet,
                          [](const uint8_t *, int, int, bool) {});
        end_stage();
        return stages;
    };
}

} // namespace ltx2
