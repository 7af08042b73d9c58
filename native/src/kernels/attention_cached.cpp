// Attention of one query over the keys and values of a cache, which are read where they lie: each
// once, for all the heads that share them. Scores, softmax and sums are F32.
#include "kernels/cpu_ops.h"
#include "kernels/variant.h"

#include <algorithm>
#include <atomic>
#include <cmath>

namespace ltx2::kernels {

namespace {
struct CachedPlan {
    AttentionCall call;
    Workers workers;
    std::atomic<int64_t> next{0}; // head of the keys

    int64_t sharing() const { return call.heads() / call.kv_heads(); } // heads that look at one
};
} // namespace

// A head's part of a row; `room` is for its values as F32.
static const float * head_of(const ggml_tensor * t, int64_t row, int64_t first, int64_t count,
                             float * room) {
    if (t->type == GGML_TYPE_F32)
        return row_of(t, row) + first;
    variant().rows.from_f16(reinterpret_cast<const uint16_t *>(at(t, 1, row)) + first, room, count);
    return room;
}

static void soften(float * scores, int64_t count) {
    const float top = *std::max_element(scores, scores + count);
    float total = 0;
    for (int64_t i = 0; i < count; ++i)
        total += scores[i] = std::exp(scores[i] - top);
    for (int64_t i = 0; i < count; ++i)
        scores[i] /= total;
}

static void attend(CachedPlan & p, Tensor out, int thread, int) {
    const AttentionCall & call = p.call;
    const Rows & rows = variant().rows;
    const int64_t dim = call.head_dim, keys = call.keys(), sharing = p.sharing();
    float * values = p.workers.room(thread); // [dim]
    float * scores = values + dim;           // [sharing][keys]
    for (int64_t h; (h = p.next++) < call.kv_heads();) {
        const float * q = floats(call.q) + h * sharing * dim;
        float * to = floats(out) + h * sharing * dim;
        for (int64_t key = 0; key < keys; ++key) {
            const float * k = head_of(call.k, key, h * dim, dim, values);
            for (int64_t s = 0; s < sharing; ++s)
                scores[s * keys + key] = rows.dot(q + s * dim, k, dim) * call.scale;
        }
        for (int64_t s = 0; s < sharing; ++s)
            soften(scores + s * keys, keys);
        std::fill_n(to, sharing * dim, 0.0f);
        for (int64_t key = 0; key < keys; ++key) {
            const float * v = head_of(call.v, key, h * dim, dim, values);
            for (int64_t s = 0; s < sharing; ++s)
                rows.add_times(v, scores[s * keys + key], to + s * dim, dim);
        }
    }
}

Tensor attention_cached(Nodes & g, const AttentionCall & call) {
    const std::shared_ptr<CachedPlan> plan(new CachedPlan{call, g.workers()});
    plan->workers.reserve(static_cast<size_t>(call.head_dim + plan->sharing() * call.keys()));
    return g.node<attend>("attention over a cache", {call.q->ne[0], 1, 1, 1},
                          {call.q, call.k, call.v}, plan);
}

} // namespace ltx2::kernels
