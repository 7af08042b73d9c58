// Norms, modulation, gates and activations of a block as graph nodes on the CPU: each reads what it
// needs once, row by row, and writes once. Rows go to threads in small pieces as they get free; no
// value depends on which thread made it. Tensors are F32 with whole rows, at equal distances.
#pragma once

#include "kernels/calls.h"

#include <atomic>
#include <functional>
#include <memory>

namespace ltx2::kernels {

// A node; must live until the graph has run once.
struct RowsPlan {
    ggml_tensor * out = nullptr;
    std::function<void(int64_t row)> work;
    int64_t piece = 1; // rows that a thread takes at once
    std::atomic<int64_t> next{0};
};

std::shared_ptr<RowsPlan> norm_rows(ggml_context * ctx, const NormCall & call);

// x += branch * gate, in its place; without a gate's table x += branch.
std::shared_ptr<RowsPlan> add_rows(ggml_context * ctx, ggml_tensor * x, ggml_tensor * branch,
                                   const TokenRow & gate);

// x = gelu(x) * factor, in its place; `factor` may be null. ggml's CPU operation looks GELU up in
// an F16 table, which costs three digits.
std::shared_ptr<RowsPlan> gelu_rows(ggml_context * ctx, ggml_tensor * x, ggml_tensor * factor);

} // namespace ltx2::kernels
