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

// Sums of 16 rows, or of `Both` 16, and of 32 outputs, in the tiles 0 to 3; strides in bytes.
static inline __attribute__((always_inline)) void zero_sums() {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
}
template <bool Both>
static inline __attribute__((always_inline)) void load_sums(const void * sums, int64_t stride) {
    const auto *upper = static_cast<const uint8_t *>(sums), *lower = upper + 16 * stride;
    _tile_loadd(0, upper, stride);
    _tile_loadd(1, upper + 64, stride);
    if (Both) {
        _tile_loadd(2, lower, stride);
        _tile_loadd(3, lower + 64, stride);
    }
}
template <bool Both>
static inline __attribute__((always_inline)) void store_sums(void * sums, int64_t stride) {
    auto *upper = static_cast<uint8_t *>(sums), *lower = upper + 16 * stride;
    _tile_stored(0, upper, stride);
    _tile_stored(1, upper + 64, stride);
    if (Both) {
        _tile_stored(2, lower, stride);
        _tile_stored(3, lower + 64, stride);
    }
}
// Adds products of 32 values of BF16. Loads stand between products, which then need not wait for
// all of them.
template <bool Both>
static inline __attribute__((always_inline)) void add_pairs(const void * rows, int64_t row,
                                                            const void * weights, int64_t line) {
    const auto * from = static_cast<const uint8_t *>(weights);
    _tile_loadd(6, from, line);
    _tile_loadd(4, rows, row);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, from + 64, line);
    _tile_dpbf16ps(1, 4, 7);
    if (Both) {
        _tile_loadd(5, static_cast<const uint8_t *>(rows) + 16 * row, row);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
}

} // namespace ltx2::kernels::LTX2_VARIANT

#endif
