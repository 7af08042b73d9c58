// Attention, from the rows of the projections to the heads' weighted means: our own kernel on the
// CPU, ggml's operations elsewhere.
#pragma once

#include "graph/graph.h"

namespace ltx2 {

// Cosines and sines of the split rotary embedding, [head_dim/2, heads or 1, tokens] each: angles of
// a head's own, or shared. The pair (j, j + head_dim/2) is turned by its angle.
struct Rotary {
    Tensor cos = nullptr, sin = nullptr;
};

struct AttendInputs {
    Tensor q, k, v; // [heads * head_dim, tokens], [kv_heads * head_dim, keys]
    int64_t head_dim;
    float scale;
    // Weights of the RMS norms of q and k: over a head where they are [head_dim], else over all
    // heads of a row together.
    Tensor q_norm, k_norm;
    float eps;
    const Rotary * rotary = nullptr; // of q and k
    Tensor gate = nullptr;           // logits [heads, tokens]
    // Query i sees key j where i - window < j <= i; 0: all of them. The mask F16 [keys, tokens],
    // added to the scores, says the same to ggml's operations, and they alone read it.
    int64_t window = 0;
    Tensor mask = nullptr;
    bool exact = true; // else q, k, v and the softmax may be rounded to BF16 to meet in products
};

// -> [heads * head_dim, tokens]. Never tokens x tokens in memory on the CPU.
Tensor attend(const Graph & g, const AttendInputs & in);

// x [heads * head_dim, tokens], each head times 2 sigmoid of its logit.
Tensor gate_heads(const Graph & g, Tensor x, Tensor logits);

} // namespace ltx2
