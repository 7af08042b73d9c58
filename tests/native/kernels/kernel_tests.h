// What programs that test kernels share: they run once for each instruction set.
#pragma once

#include "check.h"
#include "kernels/variant.h"

#include <cstdlib>

// Of a Winograd convolution with weights of 16 bits: where its products are of F32, of sums of two
// BF16, or of integers of 16 bits, which the depth of their groups tells.
inline double limit_of_16_bits(double f32, double bf16, double integers) {
    const int depth = ltx2::kernels::variant().winograd.bits16.depth;
    return depth == 64 ? integers : depth == 32 ? bf16 : f32;
}

// 77, which ctest takes for a skip, where this processor lacks the environment's LTX2_ISA.
inline int run_kernel_tests(int argc, char ** argv) {
    return ltx2::kernels::choose_variant(std::getenv("LTX2_ISA")) ? run_tests(argc, argv) : 77;
}
