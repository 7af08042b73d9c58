// Softmax attention on the CPU, flash style: never tokens x tokens in memory. Norms of q and k,
// rotary angles, scale and gate are part of it. Scores, softmax and sums are F32; every output is
// summed in one order, so its bits are the same for any number of threads.
#pragma once

#include "ggml.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

namespace ltx2::kernels {

struct AttentionCall {
    // Rows as the projections give them: [heads * head_dim, tokens], k and v [kv_heads * head_dim,
    // keys]. Query head h looks at key head h * kv_heads / heads.
    ggml_tensor *q = nullptr, *k = nullptr, *v = nullptr;
    int64_t head_dim = 0;
    // Weights of the RMS norms, or null for no norm: over a head where they are [head_dim], else
    // over all heads of a row together.
    ggml_tensor *q_norm = nullptr, *k_norm = nullptr;
    float eps = 0;
    // Angles of q and k, [head_dim / 2, heads or 1, tokens], or null.
    ggml_tensor *cos = nullptr, *sin = nullptr;
    ggml_tensor * gate = nullptr; // logits [heads, tokens]: out times 2 sigmoid of them, or null
    float scale = 1;
    int64_t window = 0; // query i sees key j where i - window < j <= i; 0: all of them
    // Rounds q, k, v and the softmax's values to BF16 where this processor multiplies those.
    bool bf16 = false;

    int64_t heads() const { return q->ne[0] / head_dim; }
    int64_t kv_heads() const { return k->ne[0] / head_dim; }
    int64_t tokens() const { return q->ne[1]; }
    int64_t keys() const { return k->ne[1]; }
};

// A call with its scratch memory; must live as long as the graph runs.
struct AttentionPlan {
    AttentionCall call;
    ggml_tensor * packed = nullptr; // keys, values, and the factors of the queries' norm
    ggml_tensor * out = nullptr;    // [heads * head_dim, tokens]
    bool bf16 = false;
    int64_t k_size = 0, v_size = 0; // of a head
    size_t scratch_size = 0;        // floats a thread
    std::vector<float> scratch;
    std::atomic<int64_t> next_input{0}, next{0}; // the pieces of work nobody has taken
};
std::shared_ptr<AttentionPlan> attention(ggml_context * ctx, const AttentionCall & call,
                                         int threads);

// The scalar twin, in double.
void attention_plain(const AttentionCall & call, float * out);

} // namespace ltx2::kernels
