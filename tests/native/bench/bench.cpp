// One part of the model at full width, timed on demand: `bench PART MODEL THREADS SIZE [DEVICE]`.
// It loads once. For each line on stdin it runs once and prints the seconds, then those of its
// stages; for the line "profile", the share of each kind of node; for "save PATH", it writes there
// what the last run made, as 32-bit floats; at the end of input, the peak memory in MiB.
// scripts/bench.py and scripts/bench_gpu.py drive it, alternating with the others.
#include "bench.h"
#include "dit/dit.h"
#include "text/encoder.h"
#include "trace.h"
#include "vae/upsampler.h"
#include "vae/video_decoder.h"
#include "vae/video_encoder.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <iostream>
#include <map>
#include <string>

using namespace ltx2;

static TextFeatures text_of(const DitConfig & config, const StreamConfig & stream) {
    const int width = static_cast<int>(config.text_width(stream));
    return {1024, width, random_values(int64_t{1024} * width)};
}

// SIZE: tokens of the video, 64 a frame; `with_audio`, five seconds of sound besides
static Run dit_run(Device & device, const Model & model, int tokens, bool with_audio) {
    auto dit = std::make_shared<Dit>(model, device, with_audio);
    dit->load(quiet);
    const DitConfig & config = dit->config();
    std::vector<Position> positions;
    for (int t = 0; t < tokens; ++t)
        positions.push_back(
            {0.1f * float(t / 64), 16.0f + 32 * float(t / 8 % 8), 16.0f + 32 * float(t % 8)});
    State state = {noise_stream(config.video.channels, positions)};
    std::vector<TextFeatures> texts = {text_of(config, config.video)};
    if (with_audio) {
        state.push_back(noise_stream(config.audio->channels, sound_positions(126)));
        texts.push_back(text_of(config, *config.audio));
    }
    std::vector<DitInput> inputs;
    for (size_t s = 0; s < state.size(); ++s)
        inputs.push_back({state[s].positions, texts[s]});
    auto run = std::make_shared<DitRun>(*dit, inputs);
    return [dit, run, state] {
        made = run->velocity(state, 0.9f, quiet).plain[0];
        return std::vector<double>();
    };
}

static Run decode_run(Device & device, const Model & model, Grid grid) {
    const std::shared_ptr<VideoDecoder> vae = open_video_decoder(model, device);
    vae->load(quiet);
    Latents latents{grid, static_cast<int>(vae->config().latent_channels), {}};
    latents.values = random_values(latents.size());
    const int space = vae->config().scale.space;
    const int64_t frame = int64_t{3} * grid.height * grid.width * space * space;
    return [=] {
        made.clear();
        vae->decode(latents, noise, quiet, [&](const uint8_t * pixels, int, int count, bool) {
            made.insert(made.end(), pixels, pixels + int64_t{count} * frame);
        });
        return std::vector<double>();
    };
}

// SIZE: as for decode; three frames to three of twice the rows and columns
static Run upsample_run(Device & device, const Model & model, int cells) {
    auto upsampler = std::make_shared<Upsampler>(model, device);
    upsampler->load(quiet);
    Latents latents{{3, cells, cells}, static_cast<int>(upsampler->channels()), {}};
    latents.values = random_values(latents.size());
    return [=] {
        upsampler->enlarge(latents, quiet);
        return std::vector<double>();
    };
}

// SIZE: as for decode; one image
static Run encode_run(Device & device, const Model & model, int cells) {
    auto vae = std::make_shared<VideoEncoder>(model, device);
    vae->load(quiet);
    const int side = cells * vae->config().scale.space;
    const std::vector<float> pixels = random_values(int64_t{3} * side * side);
    return [=] {
        vae->encode(pixels, 1, side, side, quiet);
        return std::vector<double>();
    };
}

// SIZE: tokens
static Run gemma_run(Device & device, const Model & model, int tokens) {
    const std::shared_ptr<TextEncoder> encoder = open_text_encoder(model, device);
    encoder->load(quiet);
    std::vector<int32_t> ids;
    for (int i = 0; i < tokens; ++i)
        ids.push_back(i % 200);
    return [=, &device] {
        const HiddenStates states = encoder->encode(ids, quiet);
        std::vector<float> values(static_cast<size_t>(ggml_nelements(states.values.tensor)));
        device.read(states.values.tensor, values.data());
        made.assign(values.end() - states.tokens * states.width, values.end());
        return std::vector<double>();
    };
}

// SIZE: tokens read before; one more each time
static Run writing_run(Device & device, const Model & model, int tokens) {
    const std::shared_ptr<TextEncoder> encoder = open_text_encoder(model, device, true);
    encoder->load(quiet);
    auto cache = std::make_shared<TextCache>(encoder->cache(tokens + 1));
    encoder->predict(std::vector<int32_t>(static_cast<size_t>(tokens), 7), *cache, quiet);
    return [=] {
        cache->tokens = tokens;
        encoder->predict({7}, *cache, quiet);
        return std::vector<double>();
    };
}

// The DiT's attention over itself between its projections, or one with heads of 64. KIND: F32, or
// BF16 where matmuls may use it. SIZE: tokens
static Run attention_run(Device & device, int64_t head_dim, const std::string & kind, int tokens) {
    const int64_t width = 4096, heads = width / head_dim;
    struct Values {
        std::vector<float> rows[3], weight, angles, gate, out;
    };
    auto kept = std::make_shared<Values>();
    for (std::vector<float> & rows : kept->rows)
        rows = random_values(width * tokens);
    kept->weight = random_values(width);
    kept->angles = random_values(width / 2 * tokens);
    kept->gate = random_values(heads * tokens);
    kept->out.resize(static_cast<size_t>(width * tokens));
    return [=, &device] {
        Graph g(device, quiet);
        const auto input = [&](const std::vector<float> & from, Shape ne) {
            return g.input(GGML_TYPE_F32, ne, from.data());
        };
        const Shape row = {width, tokens, 1, 1}, angles = {head_dim / 2, heads, tokens, 1};
        AttentionCall call;
        call.q = input(kept->rows[0], row);
        call.k = input(kept->rows[1], row);
        call.v = input(kept->rows[2], row);
        call.head_dim = head_dim;
        call.q_norm = call.k_norm = input(kept->weight, {width, 1, 1, 1});
        call.eps = 1e-6f;
        call.q_rotary = {input(kept->angles, angles), input(kept->angles, angles)};
        call.k_rotary = call.q_rotary;
        call.gate = input(kept->gate, {heads, tokens, 1, 1});
        call.scale = 1 / std::sqrt(float(head_dim));
        call.bf16 = kind != "F32";
        g.output(g.ops().attention(g, call), kept->out.data());
        g.run();
        return std::vector<double>();
    };
}

// The processor's time for each node of the graphs that run, summed by what it does and the shape
// of its result: on a machine with other work, that says more than the clock.
class Profile : public Watch {
public:
    Profile() { quiet.watch = this; }
    ~Profile() override { quiet.watch = nullptr; }

    void print() const {
        double all = 0, wall = 0;
        std::vector<std::pair<double, std::string>> lines;
        for (const auto & [name, sum] : sums_) {
            all += sum.seconds;
            wall += sum.wall;
            lines.emplace_back(sum.seconds, name);
        }
        std::sort(lines.rbegin(), lines.rend());
        std::printf("processor %.3f ms, clock %.3f ms\n", 1e3 * all, 1e3 * wall);
        for (const auto & [seconds, name] : lines)
            std::printf("%5.1f %% %9.3f ms %4d x %s\n", 100 * seconds / all, 1e3 * seconds,
                        sums_.at(name).count, name.c_str());
    }

private:
    struct Sum {
        double seconds = 0, wall = 0;
        int count = 0;
    };

    void node(const ggml_tensor * t, bool begins) override {
        const std::clock_t used = std::clock();
        if (begins) {
            begin_ = std::chrono::steady_clock::now();
            used_ = std::clock();
            return;
        }
        Sum & sum = sums_[label_of(t)];
        sum.seconds += double(used - used_) / CLOCKS_PER_SEC;
        sum.wall +=
            std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
        ++sum.count;
    }

    std::chrono::steady_clock::time_point begin_;
    std::clock_t used_ = 0;
    std::map<std::string, Sum> sums_;
};

static double peak_mib() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);)
        if (line.rfind("VmHWM:", 0) == 0)
            return std::atof(line.c_str() + 6) / 1024;
    return 0;
}

static Run make_run(Device & device, const std::string & part, const std::string & model,
                    int size) {
    if (part == "attention" || part == "attention64")
        return attention_run(device, part == "attention" ? 128 : 64, model, size);
    if (part == "types")
        return types_run(device.threads(), model, size);
    if (part == "video")
        return video_run(device, model, size);
    static const Model parts({model});
    const bool dit =
        part.substr(0, 3) == "dit" || part == "blocks"; // the model says how many blocks there are
    return dit || part == "joint" ? dit_run(device, parts, size, part == "joint")
           : part == "decode" || part == "windows" // SIZE: latent rows and columns; 17 frames
               ? decode_run(device, parts, {3, size, size})
               : part == "clip" // SIZE: latent frames; 512 x 768
                     ? decode_run(device, parts, {size, 16, 24})
                     : part == "encode"     ? encode_run(device, parts, size)
                       : part == "sound"    ? sound_run(device, parts, size)
                       : part == "upsample" ? upsample_run(device, parts, size)
                       : part == "writing"  ? writing_run(device, parts, size)
                                            : gemma_run(device, parts, size);
}

static int bench(int argc, char ** argv) {
    if (argc == 3 && std::string(argv[1]) == "peaks") {
        for (std::string line; std::getline(std::cin, line);) {
            const Peaks p = peaks(std::atoi(argv[2]));
            std::printf("%.3f %.3f %.3f %.3f\n", p.f32, p.bf16, p.int8, p.memory);
            std::fflush(stdout);
        }
        return 0;
    }
    if (argc != 5 && argc != 6)
        fail(LTX2_STATUS_INVALID_ARGUMENT,
             "usage: bench "
             "dit|dit20|dit25|blocks|joint|decode|windows|clip|encode|sound|upsample|gemma|gemma4|"
             "writing|"
             "attention|"
             "attention64|types|video MODEL|KIND|KINDS THREADS SIZE [DEVICE]");
    Device device(argc == 6 ? argv[5] : "CPU", std::atoi(argv[3]));
    const Run run = make_run(device, argv[1], argv[2], std::atoi(argv[4]));
    for (std::string line; std::getline(std::cin, line);) {
        if (line == "profile") {
            const Profile profile;
            run();
            profile.print();
            continue;
        }
        if (line.rfind("save ", 0) == 0) {
            std::ofstream(line.substr(5), std::ios::binary)
                .write(reinterpret_cast<const char *>(made.data()),
                       static_cast<std::streamsize>(made.size() * sizeof(float)));
            std::printf("0\n"), std::fflush(stdout);
            continue;
        }
        Clock clock;
        const std::vector<double> stages = run();
        std::printf("%.6f", clock.lap());
        for (double seconds : stages)
            std::printf(" %.6f", seconds);
        std::printf("\n"), std::fflush(stdout);
    }
    std::printf("%.1f\n", peak_mib());
    return 0;
}

int main(int argc, char ** argv) {
    try {
        return bench(argc, argv);
    } catch (const std::exception & e) {
        std::fprintf(stderr, "bench: %s\n", e.what());
        return 1;
    }
}
