// The inner kernels, one table of them for every instruction set; the best that this processor runs
// is chosen once. Loops over threads, memory and shapes lie outside, in files compiled once.
#pragma once

#include "kernels/attention.h"
#include "kernels/conv3d_tile.h"
#include "kernels/gemm.h"
#include "kernels/rows.h"
#include "kernels/winograd.h"

#include <vector>

namespace ltx2::kernels {

struct Variant {
    const char * name;
    AttentionKernels attention;
    Conv3dTiles conv3d;
    Gemm gemm;
    Rows rows;
    Winograd winograd;
};

// The environment's LTX2_ISA names another than the best: for tests and for comparing. DEVICE for
// one that is not compiled in, or that this processor does not run.
const Variant & variant();

// All that this processor runs, the best one last.
std::vector<const Variant *> variants();
// False where LTX2_ISA names one that this processor lacks.
bool variant_runs();

} // namespace ltx2::kernels
