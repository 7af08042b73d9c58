// Matrix products for many rows on the CPU. Weights stay where they are, in a mapped file if they
// came from one: each panel is unpacked into the first cache when its turn comes, which some
// hundred rows of activations share. Activations are prepared once for all the matrices that they
// meet.
//
// Every sum is taken in one order, which depends on k and on whether rows are few: the same bits
// for any number of threads.
#pragma once

#include "kernels/gemm.h"

#include "kernels/scratch.h"

#include "ggml.h"

#include <atomic>
#include <cstddef>
#include <memory>

namespace ltx2::kernels {

// How far activations may be rounded to meet the weights.
enum class Rounding {
    none, // F32, whatever it costs
    fine, // NMSE 1e-9: 16 bits beside types that `Gemm::decoder` knows, F32 beside others
    free, // 8 bits beside these (NMSE 6e-5; 8e-5 with Q4_0's weights at a common scale, whose own
          // rounding is 5e-3), BF16 beside others (1e-5)
};

// The fastest arithmetic of this processor; F32 for F32 weights and for a few rows.
Arithmetic choose_arithmetic(ggml_type weight, int64_t k, int64_t rows, Rounding rounding);

// x [k, rows] F32, rows contiguous -> [bytes, panels] of I8; x itself where its rows are few.
ggml_tensor * prepare_rows(ggml_context * ctx, Arithmetic arithmetic, ggml_tensor * x);

struct GemmCall {
    Arithmetic arithmetic;
    ggml_tensor * weight = nullptr; // [k, n]
    ggml_tensor * rows = nullptr;   // of prepare_rows
    int64_t count = 0;              // of these rows
    ggml_tensor * bias = nullptr;   // [n], or null
    bool gelu = false;              // of the sum and the bias
};

// Must live until the graph has run, once.
struct GemmPlan {
    GemmCall call;
    Scratch & scratch;
    ggml_tensor * out = nullptr; // [n, rows]
    std::atomic<int64_t> next{0};
};

// `threads` at most will run it, in `scratch`, which other plans may share.
std::unique_ptr<GemmPlan> gemm(ggml_context * ctx, const GemmCall & call, int threads,
                               Scratch & scratch);

} // namespace ltx2::kernels
