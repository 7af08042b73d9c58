// Softmax attention on the CPU, flash style: never tokens x tokens in memory. Norms of q and k,
// rotary angles, scale and gate are part of it. Scores, softmax and sums are F32; every output is
// summed in one order, so its bits are the same for any number of threads.
#pragma once

#include "kernels/calls.h"
#include "kernels/scratch.h"

#include <atomic>
#include <memory>

namespace ltx2::kernels {

// A call with its pieces of work; must live as long as the graph runs.
struct AttentionPlan {
    AttentionCall call; // bf16 only where this processor multiplies those
    Workers workers;
    ggml_tensor * packed = nullptr; // keys, values, and the factors of the queries' norm
    ggml_tensor * out = nullptr;    // [heads * head_dim, tokens]
    int64_t k_size = 0, v_size = 0; // of a head
    std::atomic<int64_t> next_input{0}, next{0}; // the pieces of work nobody has taken

    AttentionPlan(const AttentionCall & call, Workers workers) : call(call), workers(workers) {}
};
std::shared_ptr<AttentionPlan> attention(ggml_context * ctx, const AttentionCall & call,
                                         Workers workers);

// The scalar twin, in double.
void attention_plain(const AttentionCall & call, float * out);

} // namespace ltx2::kernels
