// The operations that a layer asks of a backend, as plain descriptions: graph/ops.h has the table
// of who computes them. Activations are F32, channels fastest. A tensor that may be null says so.
#pragma once

#include "base/token_group.h"
#include "files/coding.h"
#include "kernels/rows.h"

#include "ggml.h"

#include <algorithm>
#include <array>
#include <vector>

namespace ltx2 {

using Tensor = ggml_tensor *;
using Shape = std::array<int64_t, 4>; // ggml order, fastest first
inline Shape shape_of(const ggml_tensor * t) { return {t->ne[0], t->ne[1], t->ne[2], t->ne[3]}; }
// Whether a node computes nothing: it is another look at the values of its source.
inline bool is_view(const ggml_tensor * t) {
    return t->op == GGML_OP_NONE || t->op == GGML_OP_VIEW || t->op == GGML_OP_RESHAPE ||
           t->op == GGML_OP_PERMUTE || t->op == GGML_OP_TRANSPOSE;
}

// How far activations may be rounded for a matrix product. A backend without such arithmetic rounds
// less.
enum class Activations {
    f32,    // not at all
    bits16, // NMSE 1e-9
    bits8,  // 8 bits for quantised weights (NMSE 6e-5; 8e-5 where Q4_0 weights share a scale, whose
            // own rounding is 5e-3), BF16 for others (1e-5)
};

// Weights [k, n]: of a ggml type, or in codes, then `tensor` is their bytes, a row's in a row.
struct Matrix {
    Tensor tensor;
    const Coding * coding; // null: the tensor's type says all

    Matrix(Tensor tensor = nullptr, const Coding * coding = nullptr)
        : tensor(tensor), coding(coding) {}
    int64_t k() const { return coding ? coding->columns() : tensor->ne[0]; }
    int64_t n() const { return tensor->ne[1]; }
    bool is_f32() const { return !coding && tensor->type == GGML_TYPE_F32; }
    const char * type_name() const { return coding ? coding->name : ggml_type_name(tensor->type); }
};

// [k, n] times [k, rows] -> [n, rows], then the bias, then GELU in its tanh form.
struct MatmulCall {
    Matrix weight;         // [k, n] of any type; in codes where Ops::reads_codes
    Tensor x = nullptr;    // [k, rows]
    Tensor bias = nullptr; // [n], or null
    bool gelu = false;
    Activations activations = Activations::bits8;
    bool for_attention = false; // nothing else reads it: it may be F16
};

// Softmax attention from the rows of the projections to the heads' weighted means, [heads *
// head_dim, tokens].
// Cosines and sines of angles, both [head_dim / 2, heads or 1, tokens]: each head has its own, or
// all share them. The pair (j, j + head_dim / 2) is rotated by its angle. Null: no rotation.
struct Rotary {
    Tensor cos = nullptr, sin = nullptr;
};

struct AttentionCall {
    // [heads * head_dim, tokens], k and v [kv_heads * head_dim, keys]. Query head h looks at key
    // head h * kv_heads / heads.
    Tensor q = nullptr, k = nullptr, v = nullptr;
    int64_t head_dim = 0;
    // Weights of the RMS norms, or null for no norm: over a head where they are [head_dim], else
    // over all heads of a row together.
    Tensor q_norm = nullptr, k_norm = nullptr;
    float eps = 0;
    Rotary q_rotary, k_rotary;
    Tensor gate = nullptr; // logits [heads, tokens]: out times 2 sigmoid of them, or null
    float scale = 1;
    int64_t window = 0; // query i sees key j where i - window < j <= i; 0: all of them
    std::vector<TokenGroup> groups = {}; // of queries and keys alike; none: all see all
    bool bf16 = false;                   // q, k, v and the softmax's values may be rounded to BF16
    // k and v are as a cache keeps them: F32 or F16, and q and k are normed and rotated already.
    // There is one query, which sees all keys.
    bool cached = false;

    int64_t heads() const { return q->ne[0] / head_dim; }
    int64_t kv_heads() const { return k->ne[0] / head_dim; }
    int64_t tokens() const { return q->ne[1]; }
    int64_t keys() const { return k->ne[1]; }
};

// Attention over a grid of frames, rows and columns, in which a query sees the keys of a box around
// it, moved inward where the grid ends. Frames come in order and are kept in a ring until no query
// will see them.
struct WindowCall {
    static constexpr int most = 11;            // of a box along an axis
    int64_t frames = 0, height = 0, width = 0; // of the grid
    int window[3] = {};  // of the box: frames, rows, columns; no more than the grid has
    bool copied = false; // columns end in copies of the last one, around which boxes stay centred
    int64_t heads = 0, head_dim = 0;           // a multiple of 8
    Tensor q_norm = nullptr, k_norm = nullptr; // [head_dim]: weights of the RMS norms of heads
    float eps = 0;
    Tensor ring = nullptr; // of the shape `ring_shape` gives

    int64_t cells() const { return height * width; }
    int64_t copies() const { return copied ? window[2] / 2 : 0; } // at either side
    // The first frame that the queries of a frame see, of at most `window[0]`.
    int64_t first_seen(int64_t frame) const { return first_of(frame, window[0], frames); }
    // The same along any axis of so many positions.
    static int64_t first_of(int64_t at, int64_t window, int64_t count) {
        return std::max<int64_t>(0, std::min(at - window / 2, count - window));
    }
    Shape ring_shape(int64_t ring_frames) const;
};

// For each token a row of a table [width, rows, timesteps]: `row` of the token's timestep.
struct TokenRow {
    Tensor table = nullptr; // contiguous; null: no row
    int64_t row = 0;
    Tensor index = nullptr; // [tokens] I32, which timestep a token has; null: the first
};

// norm(x), times `scale`, plus `shift`; or, with `into`, `into` plus the scaled norm, which may be
// written over `into`.
struct NormCall {
    Tensor x = nullptr;
    Norm norm = Norm::rms;
    float eps = 0;
    TokenRow scale = {}, shift = {};
    bool one_plus_scale = false; // times 1 + scale
    Tensor into = nullptr;       // then there is no shift
};

enum class Border { zeros, reflect, replicate, circular }; // in space; time is always replicated

// A convolution over time, rows and columns. Frames come from two tensors that count as one row
// of frames: `past` (null: none), then `x`, each [in, width, height, frames].
struct Conv3dCall {
    Tensor x = nullptr, past = nullptr;
    Tensor weight = nullptr; // [in, out, taps], packed where the backend packs
    Tensor bias = nullptr;   // [out]
    Tensor skip = nullptr;   // added: [out, out width, out height, frames], or null
    Tensor skip_past = nullptr;
    int64_t skip_first = 0; // the frame of (skip_past, skip) that the first output gets
    int kernel = 3;         // in each direction: 3 or 1
    bool flat = false;      // in time it is 1: each frame by itself
    int stride_time = 1, stride_space = 1; // 1 or 2
    int before = 0, after = 0; // copies of the first and of the last frame around the row
    // The kernel's middle lies so many rows above and columns left of an output: -1, 0 or 1. With
    // one row, outputs see no row that comes after them.
    int up = 0, left = 0;
    Border border = Border::zeros;
    bool normed = false; // a norm has made x small; else it may exceed F16's largest value

    int kernel_time() const { return flat ? 1 : kernel; }
    int taps() const { return kernel_time() * kernel * kernel; }
    int64_t frames() const { return (past ? past->ne[3] : 0) + x->ne[3]; }
    int64_t out_frames() const {
        return strided(before + frames() + after, kernel_time(), stride_time);
    }
    int64_t out_width() const { return strided(x->ne[1] + kernel - 1, kernel, stride_space); }
    int64_t out_height() const { return strided(x->ne[2] + kernel - 1, kernel, stride_space); }

private:
    static int64_t strided(int64_t padded, int kernel, int stride) {
        return padded < kernel ? 0 : (padded - kernel) / stride + 1;
    }
};

// Channels to time, rows and columns, or back. Channel ((c*time + a)*space + b)*space + d and
// channel c of frame offset a, row offset b, column offset d are the same value.
struct ShuffleCall {
    Tensor x = nullptr;
    // Added, shuffled likewise: to space, its channels are repeated as a whole; to depth, of each
    // group of its channels the mean. Or null.
    Tensor skip = nullptr;
    Tensor skip_past = nullptr; // frames before those of `skip`, or null
    int64_t skip_first = 0;     // the frame of (skip_past, skip) that belongs to x's first
    int time = 1, space = 1;    // the strides: 1 or 2
    int drop = 0;               // output frames left out at the start
};

// A convolution over positions in a row, that sees zeros before the first and after the last, as
// many of them as there are outputs. With `rate`, a transposed one: each position becomes so many.
struct Conv1dCall {
    Tensor x = nullptr;      // [in, positions]
    Tensor weight = nullptr; // [taps, in, out], transposed [taps, out, in]: F32, F16 or BF16
    Tensor bias = nullptr;   // [out], or null
    Tensor skip = nullptr;   // added: [out, out positions], or null
    int dilation = 1;
    int rate = 0;       // 0: it is not transposed
    float leak = 1;     // what negative values of x are multiplied by before
    int64_t origin = 0; // of x in a whole whose bits it shall have

    int64_t taps() const { return weight->ne[0]; }
    int64_t in() const { return x->ne[0]; }
    int64_t out() const { return weight->ne[rate ? 1 : 2]; }
    int64_t out_positions() const { return x->ne[1] * (rate ? rate : 1); }
};

// x + sin^2(e^alpha x) / e^beta at twice the rate, with a filter before and after.
struct SnakeCall {
    Tensor x = nullptr;                     // [channels, positions]
    Tensor alpha = nullptr, beta = nullptr; // [channels]
    Tensor up = nullptr, down = nullptr;    // filters of 12 taps
};

} // namespace ltx2
