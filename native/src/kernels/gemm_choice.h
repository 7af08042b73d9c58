// How a matrix is multiplied on this processor.
#pragma once

#include "kernels/calls.h"
#include "kernels/gemm.h"

namespace ltx2::kernels {

// With fewer rows, reading the weights takes all the time, whatever the arithmetic.
constexpr int64_t few_rows = 8;

// How weights become 8-bit values; of no bits where they do not.
Decoder decoder_of(const Matrix & weight);

// What unpacks a panel of weights at once, or null. Of codes, bytes whose scale is their row's.
UnpackFn unpacker_of(const Matrix & weight, Arithmetic arithmetic);

// The fastest arithmetic of this processor that rounds activations no further; F32 for F32 weights
// and for a few rows. Activations of 8 bits go with all of ggml's quantised types: those that
// `Gemm::decoder` does not know are rounded to 8 bits as well, which their own error drowns. Those
// of 16 bits go with weights that become 8-bit values unrounded, and with VNNI with all others,
// which become 16 bits; else those have F32.
Arithmetic choose_arithmetic(const Matrix & weight, int64_t rows, Activations activations);

} // namespace ltx2::kernels
