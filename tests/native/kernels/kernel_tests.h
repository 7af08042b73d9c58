// What programs that test kernels share: they run once for each instruction set.
#pragma once

#include "check.h"
#include "kernels/variant.h"

#include <cstdlib>

// 77, which ctest takes for a skip, where this processor lacks the environment's LTX2_ISA.
inline int run_kernel_tests(int argc, char ** argv) {
    return ltx2::kernels::choose_variant(std::getenv("LTX2_ISA")) ? run_tests(argc, argv) : 77;
}
