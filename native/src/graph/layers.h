// The layers that components share. Members are named as the checkpoint names them; construction
// asks for the weights. Activations are F32, channels fastest.
#pragma once

#include "graph/graph.h"
#include "graph/weights.h"

#include <optional>
#include <type_traits>

namespace ltx2 {

// Over the fastest axis, no weight.
Tensor normed(Graph & g, Norm norm, Tensor x, float eps);
// norm(x) * (1 + scale) + shift
Tensor modulate(Graph & g, Norm norm, Tensor x, float eps, const TokenRow & scale,
                const TokenRow & shift);
// x + branch * gate, or x + branch; may be written over x.
Tensor add_gated(Graph & g, Tensor x, Tensor branch, const TokenRow & gate = {});
// gelu(x) * factor, in the tanh form; may be written over x.
Tensor gelu(Graph & g, Tensor x, Tensor factor = nullptr);

// A convolution's weights, as a call without its frames.
Conv3dCall conv3d(const Weights & w, int64_t in, int64_t out, Border border, int kernel = 3,
                  bool flat = false);

// Every matrix product of a layer goes through it.
struct Linear {
    Matrix weight; // [in, out]
    Tensor bias;   // [out] or null
    std::vector<Branch> branches;
    Activations activations = Activations::bits8;

    Linear(const Weights & w, int64_t in, int64_t out, bool with_bias = true);
    // Of a matrix that is no layer's; nothing is rounded.
    explicit Linear(Matrix weight) : weight(weight), bias(nullptr), activations(Activations::f32) {}
    // [in, rows] -> [out, rows], then GELU if asked for.
    Tensor operator()(Graph & g, Tensor x, bool with_gelu = false,
                      bool for_attention = false) const;
};

// The layers `w`.0 to `w`.(c.layers - 1), and no more: MODEL where the file has a further one. Each
// is told its number, where they differ.
template <class Layer, class Sizes>
std::vector<Layer> all_layers(const Weights & w, const Sizes & c) {
    std::vector<Layer> layers;
    for (int i = 0; i < c.layers; ++i) {
        w.begin_layer();
        if constexpr (std::is_constructible_v<Layer, Weights, const Sizes &, size_t>)
            layers.emplace_back(w / i, c, static_cast<size_t>(i));
        else
            layers.emplace_back(w / i, c);
    }
    w.begin_layer(); // what is no layer
    w.end(c.layers);
    return layers;
}

struct RmsNorm {
    Tensor weight;
    float eps;

    RmsNorm(const Weights & w, int64_t width, float eps);
    RmsNorm(Tensor weight, float eps) : weight(weight), eps(eps) {}
    Tensor operator()(Graph & g, Tensor x) const;
    // x + norm(branch); may be written over x.
    Tensor add(Graph & g, Tensor x, Tensor branch) const;
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
    std::optional<Linear> to_gate_logits;

    Attention(const Weights & w, const AttentionConfig & config);
    // x [width, tokens], context [context_width, keys]; over itself where there is no context.
    Tensor operator()(Graph & g, Tensor x, const Rotary & rotary,
                      const std::vector<TokenGroup> & groups = {}) const;
    Tensor operator()(Graph & g, Tensor x, Tensor context, const Rotary & q = {},
                      const Rotary & k = {}, const std::vector<TokenGroup> & groups = {}) const;
    // For spatio-temporal guidance: the values themselves instead of their weighted means.
    Tensor values_only(Graph & g, Tensor x) const;
};

// GELU (tanh form) between two linears: net.0.proj, net.2.
struct FeedForward {
    Linear proj, out;

    FeedForward(const Weights & w, int64_t width, int64_t hidden, bool with_bias = true);
    Tensor operator()(Graph & g, Tensor x) const { return out(g, proj(g, x, /*with_gelu=*/true)); }
};

} // namespace ltx2
