#include "graph/trial.h"

#include "base/log.h"
#include "graph/layers.h"

#include <cmath>
#include <map>
#include <mutex>

namespace ltx2 {

namespace {

constexpr int64_t width = 1024, hidden = 4096, tokens = 512, head_dim = 128;
constexpr int64_t channels = 128, side = 16, frames = 2; // of the convolution: as many values
constexpr int taps = 27;
static_assert(channels * side * side * frames == width * tokens / 8);

// Values that look random, the same on every machine.
std::vector<float> values(int64_t count, float size) {
    std::vector<float> all(static_cast<size_t>(count));
    uint32_t state = 1;
    for (float & value : all) {
        state = state * 1664525u + 1013904223u;
        value = size * (static_cast<float>(state >> 8) / 8388608.0f - 1.0f);
    }
    return all;
}

Kept floats(const Device & device, Shape ne, float size) {
    Kept kept = device.keep(GGML_TYPE_F32, ne);
    device.write(kept.tensor, values(ggml_nelements(kept.tensor), size).data(),
                 ggml_nbytes(kept.tensor));
    return kept;
}

Kept halves(const Device & device, Shape ne, float size) {
    Kept kept = device.keep(GGML_TYPE_F16, ne);
    const std::vector<float> wide = values(ggml_nelements(kept.tensor), size);
    std::vector<ggml_fp16_t> all(wide.size());
    ggml_fp32_to_fp16_row(wide.data(), all.data(), static_cast<int64_t>(all.size()));
    device.write(kept.tensor, all.data(), all.size() * sizeof all[0]);
    return kept;
}

// The weights of the piece on a device.
class Piece {
public:
    explicit Piece(Device & device)
        : device_(device), x_(floats(device, {width, tokens, 1, 1}, 1)),
          qkv_(halves(device, {width, width, 1, 1}, 0.05f)),
          up_(halves(device, {width, hidden, 1, 1}, 0.05f)),
          down_(halves(device, {hidden, width, 1, 1}, 0.02f)),
          bias_(floats(device, {channels, 1, 1, 1}, 1)),
          large_(floats(device, {channels, side, side, frames}, 1e6f)),
          conv_(device.keep(GGML_TYPE_F16, {channels, channels, taps, 1})) {
        // All equal, so that the order in which a backend wants them is of no matter.
        const std::vector<ggml_fp16_t> same(channels * channels * taps, ggml_fp32_to_fp16(0.01f));
        if (device.ops().pack)
            device.ops().pack(conv_.tensor, same.data(), 0, channels);
        else
            device.write(conv_.tensor, same.data(), same.size() * sizeof same[0]);
    }

    static constexpr double work = double{tokens} * (4.0 * width * width + 2.0 * width * hidden) +
                                   2.0 * tokens * tokens * width +
                                   double{taps} * channels * channels * side * side * frames;

    // What the piece gives; `seconds` are those of the computation, after one that warms up.
    std::vector<float> run(double & seconds) {
        std::vector<float> block(width * tokens), video(channels * side * side * frames);
        for (int i = 0; i < 2; ++i) {
            const Progress none;
            Graph g(device_, none);
            g.output(transformed(g), block.data());
            g.output(convolved(g), video.data());
            const auto begin = std::chrono::steady_clock::now();
            g.run();
            seconds =
                std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
        }
        for (float & value : video)
            value *= 1e-6f; // so that both count in the error
        block.insert(block.end(), video.begin(), video.end());
        return block;
    }

private:
    Tensor product(Graph & g, const Kept & weight, Tensor x, bool gelu = false) {
        MatmulCall call;
        call.weight = weight.tensor, call.x = x, call.gelu = gelu;
        return g.ops().matmul(g, call);
    }
    Tensor transformed(Graph & g) {
        const Tensor x = normed(g, Norm::rms, x_.tensor, 1e-6f);
        AttentionCall call;
        call.q = product(g, qkv_, x), call.k = product(g, qkv_, x), call.v = product(g, qkv_, x);
        call.head_dim = head_dim;
        call.scale = 1 / std::sqrt(float{head_dim});
        call.bf16 = true;
        const Tensor seen = product(g, qkv_, g.ops().attention(g, call));
        return product(g, down_, product(g, up_, seen, true));
    }
    Tensor convolved(Graph & g) {
        Conv3dCall call;
        call.x = large_.tensor, call.weight = conv_.tensor, call.bias = bias_.tensor;
        call.before = call.after = 1;
        return g.ops().convolve(g, call);
    }

    Device & device_;
    Kept x_, qkv_, up_, down_, bias_, large_, conv_;
};

struct Outcome {
    std::vector<float> values;
    double seconds = 0;
    std::vector<std::string> lacks;
};

Outcome piece_on(const std::string & name, int threads) {
    Device device(name, threads);
    Piece piece(device);
    Outcome outcome;
    outcome.values = piece.run(outcome.seconds);
    outcome.lacks = device.lacks();
    return outcome;
}

double nmse(const std::vector<float> & values, const std::vector<float> & right) {
    double off = 0, all = 0;
    for (size_t i = 0; i < right.size(); ++i) {
        const double difference = double{values[i]} - double{right[i]};
        off += difference * difference;
        all += double{right[i]} * double{right[i]};
    }
    return off / all;
}

// What is made once in a process, of each key. It is made without the lock, which others might wait
// for: a function of the caller's that is told of it may call the library.
template <class Key, class Value>
class Known {
public:
    template <class Make>
    const Value & get(const Key & key, Make && make) {
        const auto known = [&]() -> const Value * {
            const std::lock_guard<std::mutex> lock(mutex_);
            const auto found = all_.find(key);
            return found == all_.end() ? nullptr : &found->second;
        };
        if (const Value * value = known())
            return *value;
        Value value = make();
        const std::lock_guard<std::mutex> lock(mutex_);
        return all_.emplace(key, std::move(value)).first->second;
    }

private:
    std::mutex mutex_;
    std::map<Key, Value> all_;
};

// The processor's is what all others are compared with.
const Outcome & on_processor(int threads) {
    static Known<int, Outcome> done;
    return done.get(threads, [&] { return piece_on("CPU", threads); });
}

} // namespace

Trial try_device(const std::string & name, int threads) {
    constexpr double most = 1e-3; // devices that compute in F16 have up to 2.6e-5
    const Outcome & right = on_processor(threads);
    Trial trial;
    try {
        const Outcome outcome = name == "CPU" ? right : piece_on(name, threads);
        trial.error = nmse(outcome.values, right.values);
        trial.lacks = outcome.lacks;
        trial.speed = Piece::work / std::max(outcome.seconds, 1e-9);
        if (!(trial.error <= most)) // NaN too
            trial.problem = words("its results are wrong: NMSE %.2g", trial.error);
    } catch (const Error & e) {
        trial.problem = e.what();
    }
    return trial;
}

std::string fastest_device(int threads, uint64_t memory) {
    const std::vector<std::string> names = Device::names();
    if (names.size() <= 1)
        return names.empty() ? "CPU" : names[0];
    static Known<std::string, Trial> tried;
    std::string fastest = "CPU";
    double best = 0;
    for (const std::string & name : names) {
        const std::string key = name + "/" + std::to_string(threads);
        const Trial & trial = tried.get(key, [&] { return try_device(name, threads); });
        if (!trial.problem.empty())
            log(Level::warning, "device: %s is not used: %s", name.c_str(), trial.problem.c_str());
        else if (name != "CPU" && Device::memory_of(name) < memory)
            log(Level::info,
                "device: %s is not used: it has %.1f GiB of memory, and %.1f are wanted",
                name.c_str(), static_cast<double>(Device::memory_of(name)) / (1 << 30),
                static_cast<double>(memory) / (1 << 30));
        else if (trial.speed > best)
            best = trial.speed, fastest = name;
    }
    return fastest;
}

} // namespace ltx2
