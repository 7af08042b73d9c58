// The tile registers of AMX: sixteen rows of 64 bytes each. Only for files under variants/.
#pragma once

#if defined(__AMX_BF16__)

#include "kernels/simd.h"

namespace ltx2::kernels::LTX2_VARIANT {

// Of this thread, until it lets the system forget them.
static inline void begin_tiles() {
    static constexpr struct alignas(64) {
        uint8_t palette = 1, unused[15] = {};
        uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
        uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    } config = {};
    _tile_loadconfig(&config);
}
static inline void end_tiles() { _tile_release(); }
// What was written before is in memory: GCC's loads of tiles do not say that they read it.
static inline void settle() { asm volatile("" ::: "memory"); }

} // namespace ltx2::kernels::LTX2_VARIANT

#endif
