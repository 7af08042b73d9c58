// What a layer asks of a backend: one table of operations for each, chosen once, by the device. No
// layer asks which one runs.
#pragma once

#include "kernels/calls.h"

namespace ltx2 {

class Graph;

// Values come in memory of their own unless said otherwise. F32, channels fastest.
struct Ops {
    Tensor (*matmul)(Graph & g, const MatmulCall & call);
    Tensor (*attention)(Graph & g, const AttentionCall & call);
    Tensor (*norm)(Graph & g, const NormCall & call);
    // x + branch * gate, or x + branch; may be written over x
    Tensor (*add_gated)(Graph & g, Tensor x, Tensor branch, const TokenRow & gate);
    // gelu(x) * factor (null: 1), in the tanh form; may be written over x
    Tensor (*gelu)(Graph & g, Tensor x, Tensor factor);
    Tensor (*convolve)(Graph & g, const Conv3dCall & call);
    // silu(x / sqrt(mean of x^2 over channels + 1e-8)), of the frames of `past` (or null) and x
    Tensor (*pixel_norm_silu)(Graph & g, Tensor past, Tensor x);
    Tensor (*depth_to_space)(Graph & g, const ShuffleCall & call);
    Tensor (*space_to_depth)(Graph & g, const ShuffleCall & call);
    // Brings a convolution's weight [in, out, taps] into the order that `convolve` reads, in its
    // place, once; null: it stays as it is.
    void (*pack)(Tensor weight);
    // Whether activations are rounded to the type of the weights they meet, so that exact
    // arithmetic wants these in F32.
    bool rounds_to_weights;
};

extern const Ops cpu_ops;      // our kernels
extern const Ops ggml_cpu_ops; // ggml's operations, on its CPU backend
extern const Ops ggml_gpu_ops; // and on its GPU backends

} // namespace ltx2
