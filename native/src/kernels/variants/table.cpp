#include "kernels/variant.h"

namespace ltx2::kernels::LTX2_VARIANT {

extern const AttentionKernels attention_kernels;
extern const Conv3dTiles conv3d_kernels;
extern const Gemm gemm_kernels;
extern const Quantise quantise_kernels;
extern const Rows row_kernels;
extern const Snake snake_kernel;
extern const Window window_kernel;
extern const Winograds winograd_kernels;
extern const Winograds1d winograd_1d_kernels;

// Addresses alone: no code of this instruction set runs before it is chosen.
extern constexpr Variant table = {
    LTX2_VARIANT_NAME, attention_kernels, conv3d_kernels, gemm_kernels,     quantise_kernels,
    row_kernels,       snake_kernel,      window_kernel,  winograd_kernels, winograd_1d_kernels};

} // namespace ltx2::kernels::LTX2_VARIANT
