// SnakeBeta against its scalar reference on random ragged shapes, and against itself: the same bits
// for any number of threads, and in a piece.
#include "kernels/snake.h"

#include "graph/device.h"
#include "kernels/cpu_ops.h"
#include "kernels/kernel_tests.h"
#include "nodes_in.h"
#include "plain.h"

#include "ggml-cpu.h"

#include <algorithm>

using namespace ltx2;
using kernels::floats;

namespace {

struct Tensors {
    std::vector<uint8_t> memory = std::vector<uint8_t>(size_t{16} << 20);
    std::unique_ptr<ggml_context, decltype(&ggml_free)> context{
        ggml_init({memory.size(), memory.data(), false}), ggml_free};
    SnakeCall call;

    ggml_tensor * values(int64_t channels, int64_t positions, float deviation) {
        ggml_tensor * t = ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, channels, positions);
        const std::vector<float> some = normal_values(ggml_nelements(t), 0, deviation);
        std::copy(some.begin(), some.end(), floats(t));
        return t;
    }
    Tensors(int64_t channels, int64_t positions, float deviation) {
        call.x = values(channels, positions, deviation);
        call.alpha = values(channels, 1, 1);
        call.beta = values(channels, 1, 1);
        call.up = values(12, 1, 0.3f);
        call.down = values(12, 1, 0.3f);
    }
    std::vector<float> run(int threads) {
        Scratch scratch;
        NodesIn nodes(context.get(), {threads, scratch}, /*exact=*/false);
        ggml_tensor * out = kernels::snake(nodes, call);
        ggml_cgraph * graph = ggml_new_graph(context.get());
        ggml_build_forward_expand(graph, out);
        ggml_graph_compute_with_ctx(context.get(), graph, threads);
        return {floats(out), floats(out) + ggml_nelements(out)};
    }
};

// One channel, step by step as the official code goes: padded, zeros between, filtered, cut.
std::vector<double> snake_plain(const SnakeCall & call, int64_t channel) {
    const int64_t channels = call.x->ne[0], n = call.x->ne[1];
    const auto padded = [](const std::vector<double> & x, size_t before, size_t after) {
        std::vector<double> out(before, x.front());
        out.insert(out.end(), x.begin(), x.end());
        out.insert(out.end(), after, x.back());
        return out;
    };
    std::vector<double> x;
    for (int64_t t = 0; t < n; ++t)
        x.push_back(double(floats(call.x)[t * channels + channel]));
    x = padded(x, 5, 5);
    std::vector<double> wide(2 * x.size() + 10, 0.0);
    for (size_t i = 0; i < x.size(); ++i)
        for (size_t k = 0; k < 12; ++k)
            wide[2 * i + k] += 2 * x[i] * double(floats(call.up)[k]);
    wide = {wide.begin() + 15, wide.end() - 15};
    const double frequency = std::exp(double(floats(call.alpha)[channel]));
    const double size = std::exp(double(floats(call.beta)[channel]));
    for (double & v : wide)
        v += std::pow(std::sin(frequency * v), 2) / (size + 1e-9);
    wide = padded(wide, 5, 6);
    std::vector<double> out;
    for (size_t t = 0; t < static_cast<size_t>(n); ++t) {
        out.push_back(0);
        for (size_t k = 0; k < 12; ++k)
            out.back() += double(floats(call.down)[k]) * wide[2 * t + k];
    }
    return out;
}

double worst_of(float deviation) {
    double worst = 0;
    for (int i = 0; i < 60; ++i) {
        const int64_t channels = any(1, 40), positions = any(0, 1) ? any(1, 30) : any(900, 1300);
        Tensors t(channels, positions, deviation);
        const std::vector<float> have = t.run(any(1, 3));
        Nmse error;
        for (int64_t c = 0; c < channels; ++c) {
            const std::vector<double> want = snake_plain(t.call, c);
            for (int64_t p = 0; p < positions; ++p)
                error.add(double(have[static_cast<size_t>(p * channels + c)]),
                          want[static_cast<size_t>(p)]);
        }
        worst = std::max(worst, error.value());
    }
    return worst;
}

TEST(equals_the_scalar_reference) {
    const double usual = worst_of(1), large = worst_of(100);
    std::printf("snake: worst NMSE %.2g, of large values %.2g\n", usual, large);
    CHECK(usual < 7e-12);   // measured 1.7e-12: a phase of 20 turns has an error of 1e-6
    CHECK(large < 1.5e-10); // measured 3.7e-11
}

TEST(pieces_and_threads_change_no_bit) {
    Tensors all(37, 2500, 1);
    const std::vector<float> whole = all.run(1);
    CHECK(all.run(3) == whole);
    ggml_tensor * x = all.call.x;
    all.call.x = ggml_view_2d(all.context.get(), x, 37, 1100, x->nb[1], 777 * x->nb[1]);
    const std::vector<float> piece = all.run(2);
    const int64_t margin = 6 * 37, first = 777 * 37;
    CHECK(std::equal(piece.begin() + margin, piece.end() - margin, whole.begin() + first + margin));
}

TEST(what_is_not_finite_stays_so) {
    Tensors t(5, 60, 1);
    floats(t.call.x)[5 * 30 + 2] = INFINITY;
    const std::vector<float> out = t.run(1);
    CHECK(!std::isfinite(out[5 * 30 + 2]));
    CHECK(std::isfinite(out[5 * 30 + 1]));
    for (size_t i = 0; i < out.size(); ++i)
        CHECK(std::isfinite(out[i]) || i % 5 == 2);
    t.call.x = t.values(5, 60, 1e20f); // finite values give finite ones
    for (const float v : t.run(1))
        CHECK(std::isfinite(v));
}

} // namespace

int main(int argc, char ** argv) { return run_kernel_tests(argc, argv); }
