// The convolution along time, plain and transposed, against its scalar reference on random ragged
// shapes, and against itself: the same bits for any number of threads, and in a piece.
#include "graph/device.h"
#include "kernels/cpu_ops.h"
#include "kernels/kernel_tests.h"
#include "kernels/variant.h"
#include "nodes_in.h"
#include "plain.h"

#include "ggml-cpu.h"

#include <algorithm>

using namespace ltx2;
using kernels::floats;

namespace {

struct Case {
    int64_t in, out, positions;
    int taps, dilation, rate;
    float leak;
    bool bias, skip;
    ggml_type type;
};

struct Tensors {
    std::vector<uint8_t> memory = std::vector<uint8_t>(size_t{64} << 20);
    std::unique_ptr<ggml_context, decltype(&ggml_free)> context{
        ggml_init({memory.size(), memory.data(), false}), ggml_free};
    Conv1dCall call;
    std::vector<float> weight; // as F32

    ggml_tensor * values(int64_t channels, int64_t positions) {
        ggml_tensor * t = ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, channels, positions);
        const std::vector<float> some = normal_values(ggml_nelements(t));
        std::copy(some.begin(), some.end(), floats(t));
        return t;
    }
    explicit Tensors(const Case & c) {
        call.x = values(c.in, c.positions);
        call.dilation = c.dilation;
        call.rate = c.rate;
        call.leak = c.leak;
        call.weight = ggml_new_tensor_3d(context.get(), c.type, c.taps, c.rate ? c.out : c.in,
                                         c.rate ? c.in : c.out);
        const int64_t count = ggml_nelements(call.weight);
        weight = normal_values(count);
        if (c.type == GGML_TYPE_F32) {
            std::copy(weight.begin(), weight.end(), floats(call.weight));
        } else if (c.type == GGML_TYPE_F16) {
            auto * half = static_cast<ggml_fp16_t *>(call.weight->data);
            ggml_fp32_to_fp16_row(weight.data(), half, count);
            ggml_fp16_to_fp32_row(half, weight.data(), count);
        } else {
            auto * half = static_cast<ggml_bf16_t *>(call.weight->data);
            ggml_fp32_to_bf16_row(weight.data(), half, count);
            ggml_bf16_to_fp32_row(half, weight.data(), count);
        }
        call.bias = c.bias ? values(c.out, 1) : nullptr;
        call.skip = c.skip ? values(c.out, call.out_positions()) : nullptr;
    }
    std::vector<float> run(int threads, bool exact = false) {
        Scratch scratch;
        NodesIn nodes(context.get(), {threads, scratch}, exact);
        ggml_tensor * out = kernels::convolve_1d(nodes, call);
        ggml_cgraph * graph = ggml_new_graph(context.get());
        ggml_build_forward_expand(graph, out);
        ggml_graph_compute_with_ctx(context.get(), graph, threads);
        return {floats(out), floats(out) + ggml_nelements(out)};
    }
};

Case random_case() {
    Case c;
    c.in = any(0, 1) ? any(1, 9) : any(30, 70);
    c.out = any(0, 1) ? any(1, 9) : any(30, 70);
    c.positions = any(0, 2) ? any(1, 60) : any(380, 800);
    c.rate = any(0, 1) ? 0 : any(1, 6);
    c.taps = c.rate ? c.rate + 2 * any(0, 5) : 1 + 2 * any(0, 5);
    c.dilation = c.rate ? 1 : any(1, 5);
    c.leak = any(0, 1) ? 1.0f : 0.1f;
    c.bias = any(0, 1);
    c.skip = any(0, 1);
    const ggml_type types[] = {GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_BF16};
    c.type = types[any(0, 2)];
    return c;
}

// Its sums in double, as PyTorch defines conv1d and conv_transpose1d.
std::vector<double> convolve_plain(const Conv1dCall & call, const std::vector<float> & weight) {
    const int64_t in = call.in(), out = call.out(), positions = call.x->ne[1];
    const int64_t outputs = call.out_positions(), taps = call.taps(), rate = call.rate;
    std::vector<double> sums(static_cast<size_t>(out * outputs));
    for (int64_t o = 0; o < outputs; ++o)
        for (int64_t n = 0; n < out; ++n) {
            const size_t at = static_cast<size_t>(o * out + n);
            sums[at] = call.bias ? double(floats(call.bias)[n]) : 0.0;
            sums[at] += call.skip ? double(floats(call.skip)[at]) : 0.0;
        }
    for (int64_t t = 0; t < positions; ++t)
        for (int64_t tap = 0; tap < taps; ++tap) {
            const int64_t o =
                rate ? t * rate + tap - (taps - rate) / 2 : t - (tap - taps / 2) * call.dilation;
            if (o < 0 || o >= outputs)
                continue;
            for (int64_t i = 0; i < in; ++i) {
                const double x = double(floats(call.x)[t * in + i]);
                for (int64_t n = 0; n < out; ++n) {
                    const int64_t w = rate ? (i * out + n) * taps + tap : (n * in + i) * taps + tap;
                    sums[static_cast<size_t>(o * out + n)] +=
                        (x < 0 ? x * double(call.leak) : x) *
                        double(weight[static_cast<size_t>(w)]);
                }
            }
        }
    return sums;
}

TEST(equals_the_scalar_reference) {
    double worst_f32 = 0, worst_16 = 0, direct = 0;
    for (int i = 0; i < 80; ++i) {
        Tensors t(random_case());
        const std::vector<double> reference = convolve_plain(t.call, t.weight);
        double & worst = t.call.weight->type == GGML_TYPE_F32 ? worst_f32 : worst_16;
        worst = std::max(worst, nmse(t.run(any(1, 3)), reference));
        direct = std::max(direct, nmse(t.run(any(1, 3), /*exact=*/true), reference));
    }
    std::printf("conv1d: worst NMSE %.2g, weights of 16 bits %.2g; direct %.2g\n", worst_f32,
                worst_16, direct);
    CHECK(worst_f32 < 3e-12); // measured 1e-12
    // Measured 5.6e-10 in tiles, 4.4e-8 as integers.
    CHECK(worst_16 < limit_of_16_bits(3e-12, 2e-9, 2e-7));
    CHECK(direct < 6e-13); // measured 1.6e-13
}

// Positions in the middle of a sound, far enough from the ends of the piece.
TEST(pieces_and_threads_change_no_bit) {
    for (const int rate : {0, 5}) {
        const int64_t in = 40, out = 24, each = rate ? rate : 1;
        Tensors all(
            {in, out, 900, rate ? 11 : 7, rate ? 1 : 3, rate, 0.1f, true, false, GGML_TYPE_BF16});
        const std::vector<float> whole = all.run(1);
        CHECK(all.run(3) == whole);
        ggml_tensor * x = all.call.x;
        all.call.x = ggml_view_2d(all.context.get(), x, in, 500, x->nb[1], 333 * x->nb[1]);
        all.call.origin = 333;
        const std::vector<float> piece = all.run(2);
        const int64_t margin = 30 * each * out, first = 333 * each * out;
        CHECK(std::equal(piece.begin() + margin, piece.end() - margin,
                         whole.begin() + first + margin));
    }
}

// Where it counts, and at most in the tiles around.
TEST(what_is_not_finite_stays_so) {
    Tensors t({8, 4, 60, 3, 1, 0, 0.1f, true, false, GGML_TYPE_F32});
    floats(t.call.x)[8 * 15 + 2] = NAN;
    const std::vector<float> out = t.run(1);
    for (int64_t position = 0; position < 60; ++position) {
        const bool is_nan = std::isnan(out[static_cast<size_t>(4 * position)]);
        CHECK(is_nan || position < 14 || position > 16);
        CHECK(!is_nan || (position >= 8 && position < 24));
    }
}

} // namespace

int main(int argc, char ** argv) { return run_kernel_tests(argc, argv); }
