#include "kernels/variant.h"

namespace ltx2::kernels::LTX2_VARIANT {

void fill(AttentionKernels & kernels);
void fill(Conv3dTiles & tiles);
void fill(Gemm & gemm);
void fill(Rows & rows);
void fill(Winograd & winograd);

void fill(Variant & table) {
    fill(table.attention);
    fill(table.conv3d);
    fill(table.gemm);
    fill(table.rows);
    fill(table.winograd);
}

} // namespace ltx2::kernels::LTX2_VARIANT
