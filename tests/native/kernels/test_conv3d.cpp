// The convolution kernel against its scalar reference on random ragged shapes, and against itself:
// the same bits whatever the window and the number of threads.
#include "graph/device.h"
#include "kernels/conv3d_parts.h"
#include "kernels/cpu_ops.h"
#include "kernels/kernel_tests.h"
#include "nodes_in.h"
#include "plain.h"

#include "ggml-cpu.h"

#include <algorithm>
#include <cmath>

using namespace ltx2;
using kernels::at_border;
using kernels::floats;
using kernels::frame_of;

namespace {

struct Case {
    int64_t in, out, width, height, past, frames;
    int kernel, stride_time, stride_space, before, after;
    Border border;
    ggml_type type;
    bool skip, flat = false;
    int up = 0, left = 0;
    float all = 0; // what all pixels and weights are, unless they are random
};

// A case's tensors in one context, values made at random or shared with another case's.
struct Tensors {
    std::vector<uint8_t> memory = std::vector<uint8_t>(size_t{64} << 20);
    std::unique_ptr<ggml_context, decltype(&ggml_free)> context{
        ggml_init({memory.size(), memory.data(), false}), ggml_free};
    Conv3dCall call;
    bool direct = false;
    std::vector<float> plain_weight;

    ggml_tensor * frames(int64_t channels, int64_t width, int64_t height, int64_t count) {
        ggml_tensor * t =
            ggml_new_tensor_4d(context.get(), GGML_TYPE_F32, channels, width, height, count);
        const std::vector<float> values = normal_values(ggml_nelements(t));
        std::copy(values.begin(), values.end(), static_cast<float *>(t->data));
        return t;
    }
    explicit Tensors(const Case & c) {
        call.x = frames(c.in, c.width, c.height, c.frames);
        call.past = c.past ? frames(c.in, c.width, c.height, c.past) : nullptr;
        call.bias = frames(c.out, 1, 1, 1);
        call.kernel = c.kernel;
        call.flat = c.flat;
        call.stride_time = c.stride_time;
        call.stride_space = c.stride_space;
        call.before = c.before;
        call.after = c.after;
        call.border = c.border;
        call.up = c.up;
        call.left = c.left;
        const int64_t taps = call.taps();
        call.weight = ggml_new_tensor_3d(context.get(), c.type, c.in, c.out, taps);
        plain_weight = normal_values(c.in * c.out * taps);
        if (c.all != 0) {
            std::fill(plain_weight.begin(), plain_weight.end(), c.all);
            std::fill_n(static_cast<float *>(call.x->data), ggml_nelements(call.x), c.all);
        }
        if (c.type == GGML_TYPE_BF16) {
            auto * half = static_cast<ggml_bf16_t *>(call.weight->data);
            ggml_fp32_to_bf16_row(plain_weight.data(), half, c.in * c.out * taps);
            ggml_bf16_to_fp32_row(half, plain_weight.data(), c.in * c.out * taps);
        } else if (c.type == GGML_TYPE_F16) {
            auto * half = static_cast<ggml_fp16_t *>(call.weight->data);
            ggml_fp32_to_fp16_row(plain_weight.data(), half, c.in * c.out * taps);
            ggml_fp16_to_fp32_row(half, plain_weight.data(), c.in * c.out * taps);
        } else {
            std::memcpy(call.weight->data, plain_weight.data(), ggml_nbytes(call.weight));
        }
        pack(c.in, c.out, taps);
        if (c.skip) {
            call.skip_first = 1;
            call.skip_past = frames(c.out, call.out_width(), call.out_height(), 2);
            call.skip = frames(c.out, call.out_width(), call.out_height(), call.out_frames());
        }
    }
    // From a file's order, in two parts where there are enough outputs.
    void pack(int64_t in, int64_t outputs, int64_t taps) {
        const size_t size = ggml_type_size(call.weight->type);
        const auto * from = static_cast<const uint8_t *>(call.weight->data);
        std::vector<uint8_t> filed(ggml_nbytes(call.weight));
        for (int64_t t = 0; t < taps; ++t)
            for (int64_t i = 0; i < outputs * in; ++i)
                std::memcpy(filed.data() + static_cast<size_t>(i * taps + t) * size,
                            from + static_cast<size_t>(t * outputs * in + i) * size, size);
        for (int64_t first = 0; first < outputs; first += Ops::pack_step)
            kernels::pack_conv3d(call.weight,
                                 filed.data() + static_cast<size_t>(first * in * taps) * size,
                                 first, std::min(Ops::pack_step, outputs - first));
    }
    std::vector<float> run(int threads) {
        Scratch scratch;
        NodesIn nodes(context.get(), {threads, scratch}, /*exact=*/direct);
        ggml_tensor * out = kernels::convolve(nodes, call);
        ggml_cgraph * graph = ggml_new_graph(context.get());
        ggml_build_forward_expand(graph, out);
        ggml_graph_compute_with_ctx(context.get(), graph, threads);
        const float * values = floats(out);
        return {values, values + ggml_nelements(out)};
    }
};

Case random_case() {
    Case c;
    c.kernel = any(0, 3) ? 3 : 1;
    c.in = any(0, 1) ? any(1, 9) : any(30, 70);
    c.out = any(0, 1) ? any(1, 9) : any(30, 70);
    c.width = any(2, 21);
    c.height = any(2, 9);
    c.past = any(0, 2);
    c.frames = any(1, 4);
    c.stride_time = c.kernel == 3 ? any(1, 2) : 1;
    c.stride_space = c.kernel == 3 ? any(1, 2) : 1;
    c.before = c.kernel == 3 ? any(0, 2) : 0;
    c.after = c.kernel == 3 ? any(0, 1) : 0;
    c.border = static_cast<Border>(any(0, 3));
    const ggml_type types[] = {GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_BF16};
    c.type = types[any(0, 2)];
    c.skip = any(0, 1);
    c.flat = any(0, 3) == 0;
    if (c.flat && c.kernel == 3 && c.border == Border::zeros) {
        c.up = static_cast<int>(c.in % 3) - 1;
        c.left = static_cast<int>(c.out % 3) - 1;
    }
    return c;
}

// The scalar reference, its sums in double; `weight` [in, out, taps] as it was before packing.
std::vector<float> convolve_plain(const Conv3dCall & call, const std::vector<float> & weight) {
    std::vector<float> out;
    const int64_t in = call.x->ne[0], width = call.x->ne[1], height = call.x->ne[2];
    const int64_t outputs = call.bias->ne[0], k = call.kernel;
    const auto one = [&](int64_t t, int64_t y, int64_t x, int64_t o) {
        double sum = floats(call.bias)[o];
        for (int64_t tap = 0; tap < call.taps(); ++tap) {
            const int64_t at = t * call.stride_time + tap / (k * k) - call.before;
            const int64_t row = at_border(y * call.stride_space + tap / k % k - k / 2 - call.up,
                                          height, call.border);
            const int64_t column =
                at_border(x * call.stride_space + tap % k - k / 2 - call.left, width, call.border);
            if (row < 0 || column < 0)
                continue;
            const int64_t frame = std::max<int64_t>(0, std::min(at, call.frames() - 1));
            const float * from = frame_of(call.past, call.x, frame) + (row * width + column) * in;
            for (int64_t i = 0; i < in; ++i)
                sum += double(from[i]) * weight[static_cast<size_t>((tap * outputs + o) * in + i)];
        }
        return sum;
    };
    const int64_t out_width = call.out_width(), out_height = call.out_height();
    for (int64_t t = 0; t < call.out_frames(); ++t)
        for (int64_t y = 0; y < out_height; ++y)
            for (int64_t x = 0; x < out_width; ++x) {
                const int64_t row = (y * out_width + x) * outputs;
                const float * skip =
                    call.skip ? frame_of(call.skip_past, call.skip, call.skip_first + t) + row
                              : nullptr;
                for (int64_t o = 0; o < outputs; ++o)
                    out.push_back(static_cast<float>(one(t, y, x, o) + (skip ? skip[o] : 0.0f)));
            }
    return out;
}

TEST(equals_the_scalar_reference) {
    double worst = 0, worst_f32 = 0, worst_16 = 0;
    int cases = 0, by_winograd = 0;
    while (cases < 120 || by_winograd < 40) {
        Tensors t(random_case());
        if (t.call.out_frames() < 1)
            continue;
        ++cases;
        const bool winograd = kernels::winograd_pays(t.call);
        const std::vector<float> fast = t.run(any(1, 3));
        const std::vector<float> plain = convolve_plain(t.call, t.plain_weight);
        if (winograd) {
            ++by_winograd;
            double & most = t.call.weight->type == GGML_TYPE_F32 ? worst_f32 : worst_16;
            most = std::max(most, nmse(fast, plain));
            t.direct = true;
        }
        worst = std::max(worst, nmse(winograd ? t.run(1) : fast, plain));
    }
    std::printf("conv3d: worst NMSE %.2g; by Winograd %.2g, weights of 16 bits %.2g, of %d\n",
                worst, worst_f32, worst_16, by_winograd);
    CHECK(worst < 3e-12);       // measured 7.4e-13
    CHECK(worst_f32 < 7.2e-12); // measured 1.8e-12
    // Measured 6.6e-10 in tiles, 1.4e-7 as integers.
    CHECK(worst_16 < limit_of_16_bits(7.2e-12, 2e-9, 6e-7));
}

// The whole video at once, and its second half with two frames of the first as the past. `before`
// copies of the first frame: with two, the first output sees one frame three times.
void a_window_has_the_same_bits(bool direct, int before, ggml_type type) {
    const Case whole{70, 40, 31, 12, 0, 9, 3, 1, 1, before, 2 - before, Border::zeros, type, false};
    Tensors all(whole);
    all.direct = direct;
    const std::vector<float> expected = all.run(1);
    CHECK(all.run(3) == expected);
    ggml_tensor * x = all.call.x;
    const auto frames = [&](int64_t first, int64_t count) {
        return ggml_view_4d(all.context.get(), x, x->ne[0], x->ne[1], x->ne[2], count, x->nb[1],
                            x->nb[2], x->nb[3], static_cast<size_t>(first) * x->nb[3]);
    };
    const size_t frame = expected.size() / 9;
    all.call.past = frames(2, 2);
    all.call.x = frames(4, 5);
    all.call.before = 0;
    const std::vector<float> tail = all.run(2);
    CHECK(tail.size() == static_cast<size_t>(5 + 2 - before) * frame);
    CHECK(std::equal(tail.begin(), tail.end(), expected.end() - static_cast<long>(tail.size())));
    all.call.past = nullptr;
    all.call.x = frames(0, before == 2 ? 1 : 2);
    all.call.before = before;
    all.call.after = 0;
    const std::vector<float> head = all.run(2);
    CHECK(head.size() == frame);
    CHECK(std::equal(head.begin(), head.end(), expected.begin()));
}

TEST(windows_and_threads_change_no_bit) {
    for (const bool direct : {false, true})
        for (const int before : {1, 2})
            for (const ggml_type type : {GGML_TYPE_F16, GGML_TYPE_F32})
                a_window_has_the_same_bits(direct, before, type);
}

// Sums of products are largest where all values are one, at a quarter of the positions.
TEST(the_largest_sums_fit) {
    for (const float all : {1.0f, 1e-4f, 1e4f}) {
        Tensors t({128, 40, 13, 9, 0, 3, 3, 1, 1, 1, 1, Border::replicate, GGML_TYPE_F16, false,
                   false, 0, 0, all});
        CHECK(nmse(t.run(2), convolve_plain(t.call, t.plain_weight)) < 1e-7); // measured 2.2e-9
    }
}

// A pixel that is not finite makes all outputs so that see its tile, and those around it none.
TEST(what_is_not_finite_stays_so) {
    for (const ggml_type type : {GGML_TYPE_F32, GGML_TYPE_F16})
        for (const float wrong : {std::nanf(""), -INFINITY}) {
            Tensors t({70, 40, 12, 8, 0, 1, 3, 1, 1, 1, 1, Border::zeros, type, false});
            static_cast<float *>(t.call.x->data)[(5 * 12 + 5) * 70 + 33] = wrong;
            const std::vector<float> out = t.run(2);
            for (size_t o = 0; o < 40; ++o) {
                CHECK(!std::isfinite(out[(5 * 12 + 5) * 40 + o]));
                CHECK(std::isfinite(out[(5 * 12 + 11) * 40 + o]));
            }
        }
}

} // namespace

int main(int argc, char ** argv) { return run_kernel_tests(argc, argv); }
