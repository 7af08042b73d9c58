// One part of the model at full width, timed on demand: `bench PART MODEL THREADS SIZE`. It loads
// once, then for each line on stdin runs once and prints the seconds, for the line "profile"
// the share of each kind of node; at the end of input it prints the peak memory in MiB.
// scripts/bench.py drives it, turn by turn with PyTorch.
#include "dit.h"
#include "gemma.h"
#include "model_gemma.h"
#include "model_names.h"
#include "noise.h"
#include "video_vae.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <string>
#include <thread>

using namespace ltx2;

using Run = std::function<void()>;

// Independent multiply-adds on vectors: what the machine can do at best, at this moment.
static double fma_gflops(int threads) {
    const int64_t rounds = 4000000000; // about half a second
    constexpr int lanes = 192;         // 12 AVX-512 or 24 AVX accumulators
    std::vector<std::thread> pool;
    const auto begin = std::chrono::steady_clock::now();
    std::vector<float> sinks(static_cast<size_t>(threads));
    for (int t = 0; t < threads; ++t)
        pool.emplace_back([&sinks, t] {
            alignas(64) float a[lanes];
            for (int i = 0; i < lanes; ++i)
                a[i] = 1.0f + 1e-6f * static_cast<float>(i);
            for (int64_t r = 0; r < rounds / lanes * 8; r += 64) {
                float b[lanes]; // a copy that the compiler keeps in registers
                std::copy(a, a + lanes, b);
                for (int k = 0; k < 64; ++k)
                    for (int i = 0; i < lanes; ++i)
                        b[i] = std::fma(b[i], 0.999999f, 1e-7f);
                std::copy(b, b + lanes, a);
            }
            for (float v : a)
                sinks[static_cast<size_t>(t)] += v;
        });
    for (std::thread & t : pool)
        t.join();
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    if (!std::isfinite(sinks[0]))
        return 0;
    return 2.0 * double(rounds / lanes * 8) * lanes * threads / seconds / 1e9;
}

static std::vector<float> random_values(int64_t count) { return normal_noise(1, 0, count); }

static const Progress quiet;

// One file that holds one part alone.
struct Model {
    ModelFile file;
    Index index;
    Json config;

    Model() = default;
    explicit Model(const std::string & path) : file(read_model_file(path)) {
        const Naming naming(file);
        for (const TensorInfo & info : file.tensors) {
            const Place place = naming.place(info.name);
            index[place.name] = {&info, file.mapping, path, place.added};
        }
        if (const Json * text = file.metadata.find("config"))
            config = Json::parse(text->string("config"), "config");
    }
};

// SIZE: tokens, as one frame of a row
static Run dit_run(Device & device, const Model & model, int tokens) {
    auto dit = std::make_shared<Dit>(device, model.index, model.config, quiet);
    const int width = dit->config().width(), channels = dit->config().in_channels;
    std::vector<Position> positions;
    for (int t = 0; t < tokens; ++t)
        positions.push_back(
            {0.1f * float(t / 64), 16.0f + 32 * float(t / 8 % 8), 16.0f + 32 * float(t % 8)});
    dit->prepare(positions, random_values(int64_t{1024} * width), {}, {});
    auto state = std::make_shared<State>();
    state->tokens = tokens, state->channels = channels;
    state->latents = state->clean = random_values(int64_t{tokens} * channels);
    state->mask.assign(static_cast<size_t>(tokens), 1.0f);
    return [dit, state] { dit->velocity(*state, 0.9f, quiet); };
}

// SIZE: latent rows and columns; three latent frames, 17 frames
static Run decode_run(Device & device, const Model & model, int cells) {
    auto vae = std::make_shared<VideoVae>(device, model.index, model.config);
    const int channels = vae->latent_channels();
    auto latents =
        std::make_shared<std::vector<float>>(random_values(int64_t{channels} * 3 * cells * cells));
    return [=] {
        vae->decode(latents->data(), 3, cells, cells, quiet, [](const uint8_t *, int, int) {});
    };
}

// SIZE: as for decode; one image
static Run encode_run(Device & device, const Model & model, int cells) {
    auto vae = std::make_shared<VideoVae>(device, model.index, model.config);
    const int side = cells * pixel_scale;
    auto pixels = std::make_shared<std::vector<float>>(random_values(int64_t{3} * side * side));
    return [=] { vae->encode(pixels->data(), 1, side, side, quiet); };
}

// SIZE: tokens
static Run gemma_run(Device & device, const Model & model, int tokens) {
    auto gemma = std::make_shared<Gemma>(device, model.index, gemma_config(model.file), quiet);
    std::vector<int32_t> ids;
    for (int i = 0; i < tokens; ++i)
        ids.push_back(i % 200);
    return [=] { gemma->encode(ids, quiet); };
}

// The DiT's attention over itself between its projections. KIND: F32, or BF16 where products of
// those may be. SIZE: tokens
static Run attention_run(Device & device, const std::string & kind, int tokens) {
    const int64_t heads = 32, head_dim = 128, width = heads * head_dim;
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
        Rotary rotary = {input(kept->angles, angles), input(kept->angles, angles)};
        AttendInputs in;
        in.q = input(kept->rows[0], row);
        in.k = input(kept->rows[1], row);
        in.v = input(kept->rows[2], row);
        in.head_dim = head_dim;
        in.scale = 1 / std::sqrt(float(head_dim));
        in.q_norm = in.k_norm = input(kept->weight, {width, 1, 1, 1});
        in.eps = 1e-6f;
        in.rotary = &rotary;
        in.gate = input(kept->gate, {heads, tokens, 1, 1});
        in.exact = kind == "F32";
        g.output(attend(g, in), kept->out.data());
        g.run();
    };
}

// The processor's time for each node of the graphs that run, summed by what it does and the shape
// of its result: on a machine with other work, that says more than the clock.
class Profile {
public:
    explicit Profile(Device & device) : device_(device) {
        ggml_backend_sched_set_eval_callback(device.scheduler(), node, this);
    }
    ~Profile() { ggml_backend_sched_set_eval_callback(device_.scheduler(), nullptr, nullptr); }

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
    using Clock = std::chrono::steady_clock;
    struct Sum {
        double seconds = 0, wall = 0;
        int count = 0;
    };

    static bool node(Tensor t, bool before, void * data) {
        Profile & p = *static_cast<Profile *>(data);
        const std::clock_t used = std::clock();
        if (before) {
            p.begin_ = Clock::now();
            p.used_ = std::clock();
            return true;
        }
        std::string name = t->op == GGML_OP_CUSTOM ? t->name : ggml_op_desc(t);
        for (int i = 0; i < 4 && (i < 2 || t->ne[i] > 1); ++i)
            name += (i ? " x " : " ") + std::to_string(t->ne[i]);
        if (t->op == GGML_OP_MUL_MAT)
            name += " from " + std::to_string(t->src[0]->ne[0]);
        Sum & sum = p.sums_[name];
        sum.seconds += double(used - p.used_) / CLOCKS_PER_SEC;
        sum.wall += std::chrono::duration<double>(Clock::now() - p.begin_).count();
        ++sum.count;
        return true;
    }

    Device & device_;
    Clock::time_point begin_;
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

static int bench(int argc, char ** argv) {
    if (argc == 3 && std::string(argv[1]) == "fma") {
        for (std::string line; std::getline(std::cin, line);)
            std::printf("%.3f\n", fma_gflops(std::atoi(argv[2]))), std::fflush(stdout);
        return 0;
    }
    if (argc != 5)
        fail(LTX2_STATUS_INVALID_ARGUMENT,
             "usage: bench dit|decode|encode|gemma|attention MODEL|KIND THREADS SIZE");
    const std::string part = argv[1];
    const Model model = part == "attention" ? Model() : Model(argv[2]);
    Device device("CPU", std::atoi(argv[3]));
    const int size = std::atoi(argv[4]);
    const Run run = part == "attention" ? attention_run(device, argv[2], size)
                    : part == "dit"     ? dit_run(device, model, size)
                    : part == "decode"  ? decode_run(device, model, size)
                    : part == "encode"  ? encode_run(device, model, size)
                                        : gemma_run(device, model, size);
    for (std::string line; std::getline(std::cin, line);) {
        if (line == "profile") {
            const Profile profile(device);
            run();
            profile.print();
            continue;
        }
        const auto begin = std::chrono::steady_clock::now();
        run();
        const auto end = std::chrono::steady_clock::now();
        std::printf("%.6f\n", std::chrono::duration<double>(end - begin).count());
        std::fflush(stdout);
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
