// Norms, modulation, gates and activations of a block as graph nodes on the CPU: each reads what it
// needs once, row by row, and writes once. Rows go to threads in small pieces as they get free; no
// value depends on which thread made it. Tensors are F32 with whole rows.
#pragma once

#include "kernels/rows.h"

#include "ggml.h"

#include <atomic>
#include <functional>
#include <memory>

namespace ltx2::kernels {

// For each token a row of a table [width, rows, timesteps]: `row` of the token's timestep.
struct TokenRow {
    ggml_tensor * table = nullptr; // contiguous
    int64_t row = 0;
    ggml_tensor * index = nullptr; // [tokens] I32, which timestep a token has; null: the first

    // That of token `token`, null without a table.
    const float * of(int64_t token) const;
};

// A node; must live until the graph has run once.
struct RowsNode {
    ggml_tensor * out = nullptr;
    std::function<void(int64_t row)> work;
    int64_t piece = 1; // rows that a thread takes at once
    std::atomic<int64_t> next{0};
};

// norm(x) * (base + scale) + shift. With `into`, that is added to it in its place; `shift` is then
// not for use.
struct NormCall {
    ggml_tensor * x = nullptr;
    Norm norm = Norm::rms;
    float eps = 0, base = 0;
    TokenRow scale = {}, shift = {};
    ggml_tensor * into = nullptr;
};
std::shared_ptr<RowsNode> norm_rows(ggml_context * ctx, const NormCall & call);

// x += branch * gate, in its place; without a gate's table x += branch.
std::shared_ptr<RowsNode> add_rows(ggml_context * ctx, ggml_tensor * x, ggml_tensor * branch,
                                   const TokenRow & gate);

// x = gelu(x) * factor, in its place; `factor` may be null. ggml's CPU operation looks GELU up in
// an F16 table, which costs three digits.
std::shared_ptr<RowsNode> gelu_rows(ggml_context * ctx, ggml_tensor * x, ggml_tensor * factor);

} // namespace ltx2::kernels
