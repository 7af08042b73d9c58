#include "graph/calibrate.h"

#include "graph/graph.h"

#include <algorithm>
#include <ctime>

namespace ltx2 {

// Sizes like those of the model's layers, and small enough for a slow machine.
static constexpr int64_t width = 4096, outputs = 1024, few = 32, many = 512;

// Seconds that a graph of one operation takes: the mean of two, after one that warms up. A long
// run has its share of what slows a machine now and then, so the best would promise too much.
template <class Build>
static double seconds(Device & device, const Progress & progress, Build && build) {
    constexpr int runs = 2;
    std::chrono::duration<double> took{0};
    for (int i = 0; i <= runs; ++i) {
        Graph g(device, progress);
        g.compute(build(g));
        const auto begin = std::chrono::steady_clock::now();
        g.run();
        if (i > 0)
            took += std::chrono::steady_clock::now() - begin;
    }
    return std::max(took.count() / runs, 1e-9);
}

static Kept floats(Device & device, Shape ne) { return device.keep(GGML_TYPE_F32, ne); }

// Values that are no zeros, of which AMX would leave products out; one row, again and again. Of the
// types that ggml makes at once.
static void fill(const Device & device, Tensor weight) {
    const std::string name = ggml_type_name(weight->type);
    const bool slow = name.compare(0, 2, "iq") == 0 && name.compare(0, 3, "iq4") != 0;
    if (!ggml_is_quantized(weight->type) || slow)
        return;
    std::vector<float> row(static_cast<size_t>(weight->ne[0]));
    for (size_t i = 0; i < row.size(); ++i)
        row[i] = 0.001f * static_cast<float>(i * 37 % 101);
    std::vector<uint8_t> coded(ggml_row_size(weight->type, weight->ne[0]));
    ggml_quantize_chunk(weight->type, row.data(), coded.data(), 0, 1, weight->ne[0], nullptr);
    for (int64_t i = 0; i < weight->ne[1]; ++i)
        device.write(weight, coded.data(), coded.size(), static_cast<size_t>(i) * weight->nb[1]);
}

// A product takes unpack * values + multiply * values * rows; two numbers of rows tell both.
static void products(Device & device, Work work, Speeds & speeds, const Progress & progress) {
    const int64_t block = ggml_blck_size(static_cast<ggml_type>(work.type));
    const int64_t k = width / block * block;
    const Kept weight = device.keep(static_cast<ggml_type>(work.type), {k, outputs, 1, 1});
    fill(device, weight.tensor);
    double took[2];
    for (const int64_t rows : {few, many}) {
        const Kept x = floats(device, {k, rows, 1, 1});
        took[rows == many] = seconds(device, progress, [&](Graph & g) {
            MatmulCall call;
            call.weight = weight.tensor, call.x = x.tensor;
            call.activations = static_cast<Activations>(work.detail);
            return g.ops().matmul(g, call);
        });
    }
    const double values = static_cast<double>(k * outputs);
    const double slope = std::max(took[1] - took[0], took[1] / 100) / (many - few);
    const double once = std::max(took[0] - slope * few, took[1] / 10000);
    work.kind = Work::multiply;
    speeds[work.name()] = values / slope;
    work.kind = Work::unpack;
    speeds[work.name()] = values / once;
}

static double attend(Device & device, bool bf16, const Progress & progress) {
    const int64_t heads = 8, head_dim = 128;
    const Kept x = floats(device, {heads * head_dim, many, 1, 1});
    const double took = seconds(device, progress, [&](Graph & g) {
        AttentionCall call;
        call.q = call.k = call.v = x.tensor;
        call.head_dim = head_dim;
        call.bf16 = bf16;
        return g.ops().attention(g, call);
    });
    return static_cast<double>(many * many * heads * head_dim) / took;
}

static double convolve(Device & device, int type, int kernel, const Progress & progress) {
    // Like most of a decoder's work: frames that are small beside the weights.
    const int64_t channels = 512, side = 16, frames = 6, taps = int64_t{kernel} * kernel * kernel;
    const Kept x = floats(device, {channels, side, side, frames});
    const Kept weight = device.keep(static_cast<ggml_type>(type), {channels, channels, taps, 1});
    const Kept bias = floats(device, {channels, 1, 1, 1});
    const double took = seconds(device, progress, [&](Graph & g) {
        Conv3dCall call;
        call.x = x.tensor, call.weight = weight.tensor, call.bias = bias.tensor;
        call.kernel = kernel;
        call.before = kernel - 1;
        return g.ops().convolve(g, call);
    });
    return static_cast<double>(channels * channels * taps * side * side * frames) / took;
}

static double start(Device & device, const Progress & progress) {
    constexpr int nodes = 50;
    const Kept x = floats(device, {32, 1, 1, 1});
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < 4; ++i) {
        Graph g(device, progress);
        for (int j = 0; j < nodes; ++j) {
            NormCall call;
            call.x = x.tensor;
            call.eps = 1e-6f;
            g.compute(g.ops().norm(g, call));
        }
        g.run();
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    return 4 * nodes / std::max(took.count(), 1e-9);
}

static double move(Device & device, const Progress & progress) {
    const int64_t rows = 2048;
    const Kept x = floats(device, {width, rows, 1, 1});
    const double took = seconds(device, progress, [&](Graph & g) {
        NormCall call;
        call.x = x.tensor;
        call.eps = 1e-6f;
        return g.ops().norm(g, call);
    });
    return static_cast<double>(2 * sizeof(float) * width * rows) / took;
}

bool calibrate(Device & device, const std::map<Work, double> & kinds, Speeds & speeds,
               const Progress & progress) {
    const auto begin = std::chrono::steady_clock::now();
    const std::clock_t used = std::clock(); // of all threads
    for (const auto & [work, amount] : kinds) {
        if (speeds.count(work.name()))
            continue;
        if (work.kind == Work::unpack || work.kind == Work::multiply)
            products(device, work, speeds, progress);
        else if (work.kind == Work::attend)
            speeds[work.name()] = attend(device, work.detail, progress);
        else if (work.kind == Work::convolve)
            speeds[work.name()] = convolve(device, work.type, work.detail, progress);
        else if (work.kind == Work::move)
            speeds[work.name()] = move(device, progress);
        else
            speeds[work.name()] = start(device, progress);
    }
    device.trim();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    const double had = static_cast<double>(std::clock() - used) / CLOCKS_PER_SEC;
    const bool long_enough = took.count() > 0.1; // to tell
    return !long_enough || !device.shares_memory() || had > 0.6 * took.count() * device.threads();
}

} // namespace ltx2
