// The inner kernels of attention: keys and values into their packed form, and some queries of one
// head against all of its keys, including the softmax.
//
// Queries lie across the vectors, so that maxima and sums of the softmax are plain vector
// operations. A packed head is [keys][head_dim], and for the values [blocks][head_dim / rows][keys
// of a block][rows], in F32 or as pairs of BF16: two neighbours of a key, and one value of two
// neighbouring keys. In tiles (AMX) values are [chunks][head_dim][pairs of keys].
#pragma once

#include <cstddef>
#include <cstdint>

namespace ltx2::kernels {

// A head's part of a row of q or k, and what is done to it: it is multiplied by the factor and the
// norm's weights, then each pair (j, j + head_dim / 2) is rotated by its angle.
struct HeadRow {
    const float * x;
    const float * weight;   // [head_dim] or null
    const float *cos, *sin; // [head_dim / 2] or null
    float factor;
};

struct PackedHead {
    int64_t head_dim, keys;
    bool bf16;
    float *k, *v;
};

// Tokens first .. end; `bias` is added to the scores, in powers of two, between them and the first
// group. Those of two others are not seen.
struct SeenGroup {
    int64_t first, end;
    float bias;
};

struct AttentionTask {
    const HeadRow * rows; // of the queries
    int queries;
    PackedHead head;
    // Query i, counted from first_query, sees key j where i - window < j <= i; all where it is 0.
    int64_t first_query, window;
    const SeenGroup * groups; // of all tokens, queries and keys alike, or null
    int group_count;
    const float * gate; // logits, one per query at gate_step, or null: out times 2 sigmoid(logit)
    int64_t gate_step;
    float * out; // [queries] at out_step
    int64_t out_step;
    float * scratch;
};

struct AttentionKernels {
    int bf16;    // pairs of BF16 values can be multiplied, in heads of a multiple of this; 0: not
    int queries; // of a task, at most
    // Keys of one head, `count` of them from `first`, a multiple of `chunk`; count is less than
    // `chunk` only at the end. `scratch` as below.
    int chunk;
    void (*pack)(const HeadRow * k, const float * const * v, int count, int64_t first,
                 const PackedHead & head, float * scratch);
    void (*run)(const AttentionTask & task);
    // in floats
    int64_t (*k_size)(int64_t head_dim, int64_t keys, bool bf16);
    int64_t (*v_size)(int64_t head_dim, int64_t keys, bool bf16);
    int64_t (*scratch_size)(int64_t head_dim);
};

} // namespace ltx2::kernels
