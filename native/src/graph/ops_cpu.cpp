#include "graph/ops.h"
#include "kernels/cpu_ops.h"

namespace ltx2 {

const Ops cpu_ops = {kernels::matmul,
                     kernels::attention,
                     kernels::norm,
                     kernels::add_gated,
                     kernels::gelu,
                     kernels::convolve,
                     kernels::convolve_1d,
                     kernels::snake,
                     kernels::window_keep,
                     kernels::window_attention,
                     kernels::pixel_norm_silu,
                     kernels::depth_to_space,
                     kernels::space_to_depth,
                     kernels::pack_conv3d,
                     /*rounds_to_weights=*/false,
                     /*reads_codes=*/true};

} // namespace ltx2
