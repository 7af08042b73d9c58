// A matrix product as the tests run it, and how far it is from the sum in double.
#pragma once

#include "kernels/cpu_ops.h"
#include "kernels/variant.h"
#include "nodes_in.h"
#include "plain.h"

#include "ggml-cpu.h"

inline std::vector<float> run_product(ggml_context * context, const ltx2::MatmulCall & call,
                                      int threads) {
    ltx2::Scratch scratch;
    NodesIn nodes(context, {threads, scratch}, /*exact=*/false);
    ggml_tensor * y = ltx2::kernels::matmul(nodes, call);
    ggml_cgraph * graph = ggml_new_graph(context);
    ggml_build_forward_expand(graph, y);
    ggml_graph_compute_with_ctx(context, graph, threads);
    const float * out = static_cast<const float *>(y->data);
    return {out, out + ggml_nelements(y)};
}

// Whether weights become 16 bits beside activations of 16.
inline bool weights_in_16_bits() {
    return ltx2::kernels::variant().gemm.multiplies(ltx2::kernels::Arithmetic::int16_both, 16);
}

// NMSE of `out`, where `plain` are the weights [n][k].
inline double product_error(const ltx2::MatmulCall & call, const std::vector<float> & plain,
                            const std::vector<float> & out) {
    const int64_t k = call.x->ne[0], rows = call.x->ne[1], n = call.weight.n();
    const float * x = static_cast<const float *>(call.x->data);
    const float * bias = call.bias ? static_cast<const float *>(call.bias->data) : nullptr;
    Nmse all;
    for (int64_t r = 0; r < rows; ++r)
        for (int64_t i = 0; i < n; ++i) {
            double sum = bias ? bias[i] : 0;
            for (int64_t j = 0; j < k; ++j)
                sum += double(plain[static_cast<size_t>(i * k + j)]) * x[r * k + j];
            all.add(double(out[static_cast<size_t>(r * n + i)]), call.gelu ? gelu_plain(sum) : sum);
        }
    return all.value();
}
