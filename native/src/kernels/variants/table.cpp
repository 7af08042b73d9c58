#include "kernels/variant.h"

namespace ltx2::kernels::LTX2_VARIANT {

void fill(AttentionKernels & kernels);
void fill(Conv3dTiles & tiles);
void fill(Gemm & gemm);
void fill(Rows & rows);

void fill(Variant & table) {
    fill(table.attention);
    fill(table.conv3d);
    fill(table.gemm);
    fill(table.rows);
}

} // namespace ltx2::kernels::LTX2_VARIANT
