// Nodes that CUDA's backend computes for us, each in place of several operations of ggml's: what
// they read and write lies in the device's memory. Values that only products read are F16.
// graph/ops_cuda.cpp makes them, cuda_nodes.cu computes them, and cmake/patches/ggml_cuda.cu calls
// it.
#pragma once

#include "kernels/calls.h"

namespace ltx2::kernels {

// What a node is to compute, at userdata of its custom operation.
struct CudaNode {
    std::array<const ggml_tensor *, GGML_MAX_SRC> made_of = {}; // what it reads, as it was made

    virtual ~CudaNode() = default;
    // `context`: the backend's own.
    virtual void launch(ggml_tensor * out, void * context) const = 0;

protected:
    // What is read for `t`, or null for null. The scheduler of ggml lets nodes read copies of what
    // the processor has, such as a graph's inputs.
    const ggml_tensor * read(const ggml_tensor * out, const ggml_tensor * t) const;
    const float * floats(const ggml_tensor * out, const ggml_tensor * t) const;
    TokenRow read(const ggml_tensor * out, const TokenRow & row) const;
};

// The function of the custom operation, which tells these nodes from others; nothing calls it.
void cuda_node(ggml_tensor * out, int thread, int threads, void * node);

// Weight [k, n], F16 or quantised, times x [k, rows], F16 or F32, plus the bias, then GELU: sums
// of F32 in `out`, F32 or F16.
struct CudaProduct final : CudaNode {
    const ggml_tensor *weight, *x, *bias; // bias [n] in F32, or null
    bool gelu;
    void launch(ggml_tensor * out, void * context) const override;
};

// As NormCall without `into`; out is F32 or F16.
struct CudaNorm final : CudaNode {
    NormCall call;
    void launch(ggml_tensor * out, void * context) const override;
};

// x [heads * head_dim, tokens], F32 or F16, normed over all of a row with the weight, if there is
// one, and each head rotated, if there are angles -> [head_dim, heads, tokens], F32 or F16.
struct CudaHeads final : CudaNode {
    const ggml_tensor *x, *weight;
    float eps;
    Rotary rotary;
    void launch(ggml_tensor * out, void * context) const override;
};

// Each head of x [heads * head_dim, tokens] times 2 sigmoid of its logit; out is F32 or F16.
struct CudaGate final : CudaNode {
    const ggml_tensor *x, *logits;
    void launch(ggml_tensor * out, void * context) const override;
};

// x + branch * gate, over x.
struct CudaAdd final : CudaNode {
    const ggml_tensor * branch;
    TokenRow gate;
    void launch(ggml_tensor * out, void * context) const override;
};

} // namespace ltx2::kernels
