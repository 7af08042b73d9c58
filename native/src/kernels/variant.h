// The inner kernels, one table of them for every instruction set; the best that this processor runs
// is chosen once. Loops over threads, memory and shapes are in files that are compiled once.
#pragma once

#include "kernels/attention.h"
#include "kernels/conv3d_tile.h"
#include "kernels/gemm.h"
#include "kernels/quantise.h"
#include "kernels/rows.h"
#include "kernels/snake.h"
#include "kernels/window.h"
#include "kernels/winograd.h"
#include "kernels/winograd_1d.h"

#include <vector>

namespace ltx2::kernels {

struct Variant {
    const char * name;
    const AttentionKernels & attention;
    const Conv3dTiles & conv3d;
    const Gemm & gemm;
    const Quantise & quantise;
    const Rows & rows;
    const Snake & snake;
    const Window & window;
    const Winograds & winograd;
    const Winograds1d & winograd_1d;
};

// All that this processor runs, the best one last.
std::vector<const Variant *> variants();

// By its name, or the best where that is null or empty. The first choice holds for the process,
// since weights are packed for it. False where this processor cannot run the named one.
bool choose_variant(const char * name);
// The chosen one.
const Variant & variant();

#if defined(__x86_64__)
bool has_avx2();   // with FMA, F16C and BMI2
bool has_avx512(); // F, DQ, BW and VL
#endif

} // namespace ltx2::kernels
