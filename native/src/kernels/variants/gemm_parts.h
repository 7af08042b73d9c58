// What the files of the matrix product share, in the namespace of their variant.
#pragma once

#include "kernels/gemm.h"

#include "kernels/simd.h"

#include <utility>

namespace ltx2::kernels::LTX2_VARIANT {

constexpr int panel = 2 * lanes; // outputs

// Rows of a tile of 8-bit products; 0 where this variant has none.
#if defined(__AVX512VNNI__)
constexpr int rows_int8 = 7;
#else
constexpr int rows_int8 = 0;
#endif

template <class F, int... I>
static inline __attribute__((always_inline)) void each(F f, std::integer_sequence<int, I...>) {
    (f(std::integral_constant<int, I>()), ...);
}
// f(0), ..., f(N - 1) with indices the compiler knows: a loop it does not unroll leaves the
// registers.
template <int N, class F>
static inline __attribute__((always_inline)) void each(F f) {
    each(f, std::make_integer_sequence<int, N>());
}

// gemm_int8.cpp; two planes are 16-bit activations
int64_t int8_bytes(int planes, int64_t k);
void prepare_int8(int planes, const float * x, int64_t stride, int rows, int64_t k, uint8_t * out);
void tile_int8(int planes, const GemmTile & t, int rows);
// gemm_decode.cpp
DecodeFn decoder(int ggml_type, bool & has_minima);

} // namespace ltx2::kernels::LTX2_VARIANT
