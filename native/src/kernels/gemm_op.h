// Matrix products for many rows on the CPU. Weights stay where they are, in a mapped file if they
// came from one: each panel is unpacked into the first cache when its turn comes, which some
// hundred rows of activations share. Activations are prepared once for all the matrices that they
// meet.
//
// Every sum is taken in one order, which depends on k and on whether rows are few: the same bits
// for any number of threads.
#pragma once

#include "kernels/calls.h"
#include "kernels/gemm.h"
#include "kernels/scratch.h"

#include <atomic>
#include <memory>

namespace ltx2::kernels {

// The fastest arithmetic of this processor that rounds activations no further; F32 for F32 weights
// and for a few rows. 16 bits stand beside types that `Gemm::decoder` knows, F32 beside others.
Arithmetic choose_arithmetic(ggml_type weight, int64_t k, int64_t rows, Activations activations);

// x [k, rows] F32, rows contiguous -> [bytes, panels] of I8; x itself where its rows are few.
ggml_tensor * prepare_rows(ggml_context * ctx, Arithmetic arithmetic, ggml_tensor * x);

// Must live until the graph has run, once.
struct GemmPlan {
    MatmulCall call;
    Arithmetic arithmetic;
    ggml_tensor * prepared; // the rows
    Workers workers;
    ggml_tensor * out = nullptr; // [n, rows]
    std::atomic<int64_t> next{0};

    GemmPlan(const MatmulCall & call, Arithmetic arithmetic, ggml_tensor * prepared,
             Workers workers)
        : call(call), arithmetic(arithmetic), prepared(prepared), workers(workers) {}
};

// `prepared`: of prepare_rows.
std::shared_ptr<GemmPlan> gemm(ggml_context * ctx, const MatmulCall & call, Arithmetic arithmetic,
                               ggml_tensor * prepared, Workers workers);

} // namespace ltx2::kernels
