// Attention against its scalar reference on random ragged shapes, and against itself: the same bits
// for any number of threads.
#include "graph/device.h"
#include "kernels/cpu_ops.h"
#include "kernels/kernel_tests.h"
#include "nodes_in.h"
#include "plain.h"

#include "ggml-cpu.h"

#include <algorithm>
#include <cmath>
#include <utility>

using namespace ltx2;
using kernels::floats;
using kernels::row_of;

namespace {

struct Case {
    int64_t head_dim, heads, kv_heads, tokens, keys;
    enum { none, each_head, whole_row } norm;
    enum { still, own_angles, shared_angles } rotary;
    bool gate;
    int64_t window;
    float spread; // of the scores
};

struct Tensors {
    static constexpr size_t memory_size = size_t{96} << 20;
    std::unique_ptr<char[]> memory{new char[memory_size]}; // not written until it is used
    std::unique_ptr<ggml_context, decltype(&ggml_free)> context{
        ggml_init({memory_size, memory.get(), false}), ggml_free};
    AttentionCall call;

    ggml_tensor * values(int64_t a, int64_t b, int64_t c = 1) {
        ggml_tensor * t = ggml_new_tensor_3d(context.get(), GGML_TYPE_F32, a, b, c);
        const std::vector<float> values = normal_values(ggml_nelements(t));
        std::copy(values.begin(), values.end(), static_cast<float *>(t->data));
        return t;
    }
    Rotary angles(int64_t half, int64_t heads, int64_t tokens) {
        const Rotary r = {values(half, heads, tokens), values(half, heads, tokens)};
        for (int64_t i = 0; i < ggml_nelements(r.cos); ++i) {
            float & angle = static_cast<float *>(r.cos->data)[i];
            static_cast<float *>(r.sin->data)[i] = std::sin(3 * angle);
            angle = std::cos(3 * angle);
        }
        return r;
    }
    explicit Tensors(const Case & c) {
        call.head_dim = c.head_dim;
        call.q = values(c.heads * c.head_dim, c.tokens);
        call.k = values(c.kv_heads * c.head_dim, c.keys);
        call.v = values(c.kv_heads * c.head_dim, c.keys);
        if (c.norm != Case::none) {
            const bool whole = c.norm == Case::whole_row;
            call.q_norm = values(whole ? call.q->ne[0] : c.head_dim, 1);
            call.k_norm = values(whole ? call.k->ne[0] : c.head_dim, 1);
            call.eps = 1e-6f;
        }
        if (c.rotary != Case::still) {
            const int64_t heads = c.rotary == Case::own_angles ? c.heads : 1;
            call.q_rotary = angles(c.head_dim / 2, heads, c.tokens);
            call.k_rotary = angles(c.head_dim / 2, heads, c.keys);
        }
        call.gate = c.gate ? values(c.heads, c.tokens) : nullptr;
        call.window = c.window;
        call.scale = c.spread / std::sqrt(static_cast<float>(c.head_dim));
    }
    std::vector<float> run(int threads, bool bf16) {
        call.bf16 = bf16;
        Scratch scratch; // with what another kernel may have left there
        scratch.reserve(1 << 20);
        std::fill_n(scratch.data(), 1 << 20, NAN);
        NodesIn nodes(context.get(), {threads, scratch}, /*exact=*/false);
        ggml_tensor * out = kernels::attention(nodes, call);
        ggml_cgraph * graph = ggml_new_graph(context.get());
        ggml_build_forward_expand(graph, out);
        ggml_graph_compute_with_ctx(context.get(), graph, threads);
        const float * values = floats(out);
        return {values, values + ggml_nelements(out)};
    }
};

Case random_case() {
    static const int dims[] = {8, 10, 16, 32, 64, 72, 128, 256, 512};
    Case c;
    c.head_dim = dims[any(0, 8)];
    c.kv_heads = any(1, 2);
    c.norm = static_cast<decltype(c.norm)>(any(0, 2));
    c.rotary = static_cast<decltype(c.rotary)>(any(0, 2));
    c.heads = c.rotary == Case::own_angles ? c.kv_heads : c.kv_heads * any(1, 3);
    c.tokens = any(0, 1) ? any(1, 20) : any(21, 230);
    c.keys = any(0, 1) ? any(1, 20) : any(21, 430);
    c.window = any(0, 2) ? 0 : any(1, 300);
    if (c.window)
        c.keys = c.tokens;
    c.gate = any(0, 1);
    c.spread = static_cast<float>(any(1, 5));
    return c;
}

// The scalar reference, in double: one head's values of a row after norm and rotation.
std::vector<double> plain_row(const AttentionCall & call, const ggml_tensor * x,
                              const ggml_tensor * norm, const Rotary & rotary, int64_t head,
                              int64_t token) {
    const int64_t dim = call.head_dim, half = dim / 2;
    const float * row = row_of(x, token);
    const bool whole = norm && norm->ne[0] == x->ne[0] && x->ne[0] > dim;
    const int64_t first = whole ? 0 : head * dim, count = whole ? x->ne[0] : dim;
    double squares = 0;
    for (int64_t i = first; i < first + count; ++i)
        squares += double(row[i]) * row[i];
    const double factor = norm ? 1 / std::sqrt(squares / double(count) + call.eps) : 1;
    std::vector<double> out;
    for (int64_t i = 0; i < dim; ++i) {
        const double weight = norm ? floats(norm)[whole ? head * dim + i : i] : 1;
        out.push_back(row[head * dim + i] * factor * weight);
    }
    if (!rotary.cos)
        return out;
    const int64_t angles = (token * rotary.cos->ne[1] + (rotary.cos->ne[1] > 1 ? head : 0)) * half;
    for (int64_t i = 0; i < half; ++i) {
        const double cos = floats(rotary.cos)[angles + i], sin = floats(rotary.sin)[angles + i];
        double &a = out[static_cast<size_t>(i)], &b = out[static_cast<size_t>(half + i)];
        const double rotated = a * cos - b * sin;
        b = b * cos + a * sin;
        a = rotated;
    }
    return out;
}

// What is added to a score between two tokens of groups.
double bias_of(const AttentionCall & call, int64_t a, int64_t b) {
    const auto group_of = [&](int64_t token) {
        size_t g = 0;
        for (; token >= call.groups[g].tokens; ++g)
            token -= call.groups[g].tokens;
        return g;
    };
    if (call.groups.empty() || group_of(a) == group_of(b))
        return 0;
    const size_t other = std::max(group_of(a), group_of(b));
    return std::min(group_of(a), group_of(b)) ? -INFINITY : std::log(call.groups[other].share);
}

std::vector<float> attention_plain(const AttentionCall & call) {
    const int64_t dim = call.head_dim, heads = call.heads();
    std::vector<float> out(static_cast<size_t>(call.q->ne[0] * call.tokens()));
    for (int64_t head = 0; head < heads; ++head) {
        const int64_t kv_head = head * call.kv_heads() / heads;
        std::vector<std::vector<double>> keys;
        for (int64_t j = 0; j < call.keys(); ++j)
            keys.push_back(plain_row(call, call.k, call.k_norm, call.k_rotary, kv_head, j));
        for (int64_t i = 0; i < call.tokens(); ++i) {
            const std::vector<double> q =
                plain_row(call, call.q, call.q_norm, call.q_rotary, head, i);
            std::vector<double> sums(static_cast<size_t>(dim)), scores(keys.size(), -INFINITY);
            double top = -INFINITY, total = 0;
            for (size_t j = 0; j < keys.size(); ++j) {
                const int64_t key = static_cast<int64_t>(j);
                if (call.window && (key > i || key <= i - call.window))
                    continue;
                scores[j] = bias_of(call, i, key);
                for (size_t d = 0; d < q.size(); ++d)
                    scores[j] += q[d] * keys[j][d] * call.scale;
                top = std::max(top, scores[j]);
            }
            for (size_t j = 0; j < keys.size(); ++j) {
                const double p = std::exp(scores[j] - top);
                const float * v = row_of(call.v, static_cast<int64_t>(j)) + kv_head * dim;
                total += p;
                for (size_t d = 0; d < sums.size(); ++d)
                    sums[d] += p * v[d];
            }
            const double gate =
                call.gate ? 2 / (1 + std::exp(-double(row_of(call.gate, i)[head]))) : 1;
            for (int64_t d = 0; d < dim; ++d)
                out[static_cast<size_t>((i * heads + head) * dim + d)] =
                    static_cast<float>(sums[static_cast<size_t>(d)] / total * gate);
        }
    }
    return out;
}

TEST(equals_the_scalar_reference) {
    double worst = 0, worst_bf16 = 0;
    for (int cases = 0; cases < 80; ++cases) {
        Tensors t(random_case());
        const std::vector<float> plain = attention_plain(t.call);
        worst = std::max(worst, nmse(t.run(any(1, 3), false), plain));
        worst_bf16 = std::max(worst_bf16, nmse(t.run(any(1, 3), true), plain));
    }
    std::printf("attention: worst NMSE %.2g, with BF16 where there is any %.2g\n", worst,
                worst_bf16);
    CHECK(worst < 1e-11);     // measured 2.3e-12
    CHECK(worst_bf16 < 3e-4); // measured 8.0e-5
}

TEST(groups_see_of_each_other_what_they_may) {
    double worst = 0, worst_bf16 = 0;
    for (int cases = 0; cases < 40; ++cases) {
        Case c = random_case();
        c.window = 0;
        Tensors t(c);
        int64_t left = t.call.keys();
        while (left > 0) {
            const int64_t tokens = std::min<int64_t>(left, any(1, 120));
            t.call.groups.push_back({tokens, any(1, 100) / 100.0f});
            left -= tokens;
        }
        t.call.q = t.call.k, t.call.q_norm = t.call.k_norm, t.call.q_rotary = t.call.k_rotary;
        t.call.gate = nullptr;
        const std::vector<float> plain = attention_plain(t.call);
        worst = std::max(worst, nmse(t.run(any(1, 3), false), plain));
        worst_bf16 = std::max(worst_bf16, nmse(t.run(any(1, 3), true), plain));
    }
    std::printf("attention: groups, worst NMSE %.2g, with BF16 where there is any %.2g\n", worst,
                worst_bf16);
    CHECK(worst < 2.5e-12);   // measured 4.6e-13
    CHECK(worst_bf16 < 3e-4); // as without groups
}

// The DiT's shape, with scores of the spread that norms of weight one give.
TEST(the_transformers_shape) {
    Tensors t({128, 2, 2, 500, 500, Case::whole_row, Case::own_angles, true, 0, 1});
    for (ggml_tensor * weight : {t.call.q_norm, t.call.k_norm})
        std::fill_n(static_cast<float *>(weight->data), ggml_nelements(weight), 1.0f);
    const std::vector<float> plain = attention_plain(t.call);
    const double f32 = nmse(t.run(1, false), plain), bf16 = nmse(t.run(1, true), plain);
    std::printf("attention: the transformer's shape %.2g, with BF16 where there is any %.2g\n", f32,
                bf16);
    CHECK(f32 < 2e-12); // measured 4.3e-13
    CHECK(bf16 < 4e-5); // measured 1.0e-5
}

// One query over keys and values of a cache, in both of its types: the plain rules on the same
// values.
TEST(a_cache_is_looked_at_as_it_is) {
    double worst = 0;
    for (int cases = 0; cases < 60; ++cases) {
        Case c = random_case();
        c.tokens = 1, c.window = 0, c.gate = false, c.norm = Case::none, c.rotary = Case::still;
        Tensors t(c);
        t.call.cached = true;
        const AttentionCall plain = t.call;
        for (ggml_tensor ** in : {&t.call.k, &t.call.v}) {
            if (cases % 2 == 0)
                continue;
            const ggml_tensor * wide = *in; // and its values rounded
            *in = ggml_new_tensor_2d(t.context.get(), GGML_TYPE_F16, wide->ne[0], wide->ne[1]);
            auto * halves = static_cast<ggml_fp16_t *>((*in)->data);
            ggml_fp32_to_fp16_row(floats(wide), halves, ggml_nelements(wide));
            ggml_fp16_to_fp32_row(halves, floats(wide), ggml_nelements(wide));
        }
        const std::vector<float> one = t.run(1, false);
        worst = std::max(worst, nmse(one, attention_plain(plain)));
        CHECK(t.run(3, false) == one);
    }
    std::printf("attention: of a cache, worst NMSE %.2g\n", worst);
    CHECK(worst < 6e-12); // measured 1.5e-12
}

TEST(what_is_not_finite_stays_so) {
    for (const bool bf16 : {false, true}) {
        Tensors t({64, 2, 2, 40, 40, Case::none, Case::still, true, 0, 1});
        const auto is_lost = [&](ggml_tensor * in, int64_t at, float wrong) {
            const float right = std::exchange(static_cast<float *>(in->data)[at], wrong);
            const std::vector<float> out = t.run(1, bf16);
            static_cast<float *>(in->data)[at] = right;
            return std::all_of(out.begin(), out.end(), [](float v) { return std::isfinite(v); });
        };
        for (ggml_tensor * in : {t.call.q, t.call.k, t.call.v})
            CHECK(!is_lost(in, any(0, 40 * 128 - 1), NAN));
        for (const float wrong : {NAN, INFINITY, -INFINITY})
            CHECK(!is_lost(t.call.gate, any(0, 2 * 40 - 1), wrong));
    }
}

TEST(threads_do_not_change_bits) {
    Tensors t({128, 3, 3, 300, 300, Case::whole_row, Case::own_angles, true, 0, 1});
    for (const bool bf16 : {false, true}) {
        const std::vector<float> one = t.run(1, bf16);
        CHECK(t.run(2, bf16) == one);
        CHECK(t.run(5, bf16) == one);
    }
}

} // namespace

int main(int argc, char ** argv) { return run_kernel_tests(argc, argv); }
