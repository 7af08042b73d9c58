// The layers that components share. Members are named as the checkpoint names them; construction
// asks for the weights. Activations are F32, channels fastest.
#pragma once

#include "graph/attend.h"
#include "graph/graph.h"
#include "graph/weights.h"
#include "kernels/rows_op.h"

namespace ltx2 {

using kernels::Norm;
using kernels::TokenRow;

// Over the fastest axis, no weight.
Tensor normed(const Graph & g, Norm norm, Tensor x, float eps);
// norm(x) * (1 + scale) + shift
Tensor modulate(const Graph & g, Norm norm, Tensor x, float eps, const TokenRow & scale,
                const TokenRow & shift);
// x + branch * gate, or x + branch. Our own kernels write it over x.
Tensor add_gated(const Graph & g, Tensor x, Tensor branch, const TokenRow & gate = {});
// gelu(x) * factor, in the tanh form. Our own kernels write it over x.
Tensor gelu(const Graph & g, Tensor x, Tensor factor = nullptr);
Tensor add(const Graph & g, Tensor a, Tensor b); // b broadcasts over a
Tensor mul(const Graph & g, Tensor a, Tensor b);

// weight [k, n] and x [k, rows] -> [n, rows], then the bias [n] or null, then GELU, if asked for.
// `fine`: on the CPU x is rounded to 16 bits at most to meet the weights, not to 8.
Tensor product(const Graph & g, Tensor weight, Tensor bias, Tensor x, bool fine = false,
               bool with_gelu = false);

struct Linear {
    Tensor weight, bias; // [in, out], [out] or null

    Linear(const Weights & w, int64_t in, int64_t out, bool with_bias = true);
    Tensor operator()(const Graph & g, Tensor x) const; // [in, rows] -> [out, rows]
};

struct RmsNorm {
    Tensor weight;
    float eps;

    RmsNorm(const Weights & w, int64_t width, float eps);
    RmsNorm(Tensor weight, float eps) : weight(weight), eps(eps) {}
    Tensor operator()(const Graph & g, Tensor x) const;
    // x + norm(branch). Our own kernels write it over x.
    Tensor add(const Graph & g, Tensor x, Tensor branch) const;
};

struct AttentionConfig {
    int64_t width, context_width; // of x, of what it looks at
    int64_t heads, head_dim;
    float eps;
    bool gated;
};

// The attention of the DiT and the connector: RMS norms of q and k over all heads together, rotary
// angles per head, and a gate 2*sigmoid(logits of the query side) per head on what comes out.
struct Attention {
    AttentionConfig config;
    Linear to_q, to_k, to_v;
    RmsNorm q_norm, k_norm;
    Linear to_out;
    Tensor gate_weight = nullptr, gate_bias = nullptr;

    Attention(const Weights & w, const AttentionConfig & config);
    // x [width, tokens], context [context_width, keys] (x itself for self-attention).
    Tensor operator()(const Graph & g, Tensor x, Tensor context, const Rotary * rotary) const;
    // Spatio-temporal guidance: the values pass through in place of their weighted mean.
    Tensor values_only(const Graph & g, Tensor x) const;

private:
    Tensor gate_logits(const Graph & g, Tensor x) const; // null where it has no gate
};

// GELU (tanh form) between two linears with biases: net.0.proj, net.2.
struct FeedForward {
    Linear proj, out;

    FeedForward(const Weights & w, int64_t width, int64_t hidden);
    Tensor operator()(const Graph & g, Tensor x) const;
};

} // namespace ltx2
