// Softmax attention on the CPU, flash style: never tokens x tokens in memory. Norms of q and k,
// rotary angles, scale and gate are part of it. Scores, softmax and sums are F32.
#include "kernels/cpu_ops.h"
#include "kernels/variant.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <new>

namespace ltx2::kernels {

static constexpr double log2_e = 1.4426950408889634;

namespace {
struct AttentionPlan {
    AttentionCall call;
    Workers workers;
    Tensor packed = nullptr;        // keys, values, and the factors of the queries' norm
    int64_t k_size = 0, v_size = 0; // of a head
    std::vector<SeenGroup> groups = {};
    std::atomic<int64_t> next_input{0}, next{0}; // the next pieces of work
};
} // namespace

// The angles of a head at a token.
static const float * angles_of(const ggml_tensor * t, int64_t head, int64_t token) {
    if (!t)
        return nullptr;
    return floats(t) + (token * t->ne[1] + (t->ne[1] > 1 ? head : 0)) * t->ne[0];
}

static bool whole_row(const AttentionCall & call, const ggml_tensor * x, const ggml_tensor * norm) {
    return norm && norm->ne[0] == x->ne[0] && x->ne[0] > call.head_dim;
}
static float norm_factor(const AttentionCall & call, const float * x, int64_t n) {
    const float mean = variant().rows.dot(x, x, n) / static_cast<float>(n);
    return 1.0f / std::sqrt(mean + call.eps);
}
// `factor` is the whole row's, where the norm is over it.
static HeadRow head_row(const AttentionCall & call, const ggml_tensor * x, const ggml_tensor * norm,
                        const Rotary & rotary, int64_t head, int64_t token, float factor) {
    const bool whole = whole_row(call, x, norm);
    HeadRow row;
    row.x = row_of(x, token) + head * call.head_dim;
    row.weight = norm ? floats(norm) + (whole ? head * call.head_dim : 0) : nullptr;
    row.cos = angles_of(rotary.cos, head, token);
    row.sin = angles_of(rotary.sin, head, token);
    row.factor = norm && !whole ? norm_factor(call, row.x, call.head_dim) : factor;
    return row;
}

static float * factors_of(const AttentionPlan & p) {
    return floats(p.packed) + p.call.kv_heads() * (p.k_size + p.v_size);
}
static PackedHead packed_head(const AttentionPlan & p, int64_t head) {
    float * k = floats(p.packed) + head * (p.k_size + p.v_size);
    return {p.call.head_dim, p.call.keys(), p.call.bf16, k, k + p.k_size};
}

static void pack_keys(const AttentionPlan & p, int64_t first, float * scratch) {
    const AttentionCall & call = p.call;
    constexpr int most = 64;
    const int count =
        static_cast<int>(std::min<int64_t>(variant().attention.chunk, call.keys() - first));
    float factors[most];
    for (int i = 0; i < count; ++i)
        factors[i] = whole_row(call, call.k, call.k_norm)
                         ? norm_factor(call, row_of(call.k, first + i), call.k->ne[0])
                         : 1.0f;
    for (int64_t head = 0; head < call.kv_heads(); ++head) {
        HeadRow k[most];
        const float * v[most];
        for (int i = 0; i < count; ++i) {
            k[i] = head_row(call, call.k, call.k_norm, call.k_rotary, head, first + i, factors[i]);
            v[i] = row_of(call.v, first + i) + head * call.head_dim;
        }
        variant().attention.pack(k, v, count, first, packed_head(p, head), scratch);
    }
}

static void measure_queries(const AttentionPlan & p, int64_t first, int64_t count) {
    for (int64_t token = first; token < std::min(first + count, p.call.tokens()); ++token)
        factors_of(p)[token] = whole_row(p.call, p.call.q, p.call.q_norm)
                                   ? norm_factor(p.call, row_of(p.call.q, token), p.call.q->ne[0])
                                   : 1.0f;
}

// The two operations run one after the other, so each can reset the other's counter.
static void prepare(AttentionPlan & p, Tensor, int thread, int) {
    if (thread == 0)
        p.next = 0;
    const int64_t chunk = variant().attention.chunk;
    const int64_t keys = divide_up(p.call.keys(), chunk);
    const int64_t all = keys + divide_up(p.call.tokens(), chunk);
    float * scratch = p.workers.room(thread);
    for (int64_t i; (i = p.next_input++) < all;) {
        if (i < keys)
            pack_keys(p, i * chunk, scratch);
        else
            measure_queries(p, (i - keys) * chunk, chunk);
    }
}

// A thread's memory begins with the rows of a task's queries, in floats.
static size_t rows_size() {
    const size_t most = static_cast<size_t>(variant().attention.queries);
    return round_up(divide_up(most * sizeof(HeadRow), sizeof(float)), Scratch::line);
}

static void attend(AttentionPlan & p, Tensor out, int thread, int) {
    if (thread == 0)
        p.next_input = 0;
    const AttentionCall & call = p.call;
    const int64_t most = variant().attention.queries;
    const int64_t pieces = divide_up(call.tokens(), most);
    const float scale = static_cast<float>(call.scale * log2_e);
    HeadRow * rows = reinterpret_cast<HeadRow *>(p.workers.room(thread));
    for (int64_t i; (i = p.next++) < pieces * call.heads();) {
        const int64_t head = i / pieces, first = i % pieces * most;
        AttentionTask task;
        task.queries = static_cast<int>(std::min(most, call.tokens() - first));
        for (int q = 0; q < task.queries; ++q) {
            HeadRow & row = *new (rows + q) HeadRow;
            row = head_row(call, call.q, call.q_norm, call.q_rotary, head, first + q,
                           factors_of(p)[first + q]);
            row.factor *= scale;
        }
        task.rows = rows;
        task.head = packed_head(p, head * call.kv_heads() / call.heads());
        task.first_query = first;
        task.window = call.window;
        task.groups = p.groups.empty() ? nullptr : p.groups.data();
        task.group_count = static_cast<int>(p.groups.size());
        task.gate = call.gate ? row_of(call.gate, first) + head : nullptr;
        task.gate_step = call.heads();
        task.out = row_of(out, first) + head * call.head_dim;
        task.out_step = out->ne[0];
        task.scratch = p.workers.room(thread) + rows_size();
        variant().attention.run(task);
    }
}

Tensor attention(Nodes & g, const AttentionCall & call) {
    if (call.cached)
        return attention_cached(g, call);
    const AttentionKernels & kernels = variant().attention;
    const std::shared_ptr<AttentionPlan> plan(new AttentionPlan{call, g.workers()});
    AttentionPlan & p = *plan;
    p.call.bf16 = call.bf16 && kernels.bf16 && call.head_dim % kernels.bf16 == 0 && !g.exact();
    for (const TokenGroup & group : call.groups) {
        const int64_t first = p.groups.empty() ? 0 : p.groups.back().end;
        p.groups.push_back({first, first + group.tokens, std::log2(group.share)});
    }
    p.k_size = kernels.k_size(call.head_dim, call.keys(), p.call.bf16);
    p.v_size = kernels.v_size(call.head_dim, call.keys(), p.call.bf16);
    p.workers.reserve(rows_size() + static_cast<size_t>(kernels.scratch_size(call.head_dim)));
    p.packed = g.node<prepare>(
        "attention inputs", {call.kv_heads() * (p.k_size + p.v_size) + call.tokens(), 1, 1, 1},
        {call.q, call.k, call.v, call.k_norm, call.k_rotary.cos, call.k_rotary.sin}, plan);
    return g.node<attend>(
        "attention", {call.q->ne[0], call.tokens(), 1, 1},
        {call.q, p.packed, call.q_norm, call.q_rotary.cos, call.q_rotary.sin, call.gate}, plan);
}

} // namespace ltx2::kernels
