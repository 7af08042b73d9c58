// The two products of attention on the tile registers of AMX. Only for attention.cpp.
#pragma once

#if defined(__AMX_BF16__)

#include "kernels/attention_product.h"
#include "kernels/variants/tiles.h"

namespace ltx2::kernels::LTX2_VARIANT {

// As Pairs; but a packed head's values are [chunks of 32 keys][head_dim][16 pairs].
struct Tiles : Pairs {
    static constexpr int keys = 32; // at once: sixteen pairs
};

// Adds to the tiles 0 .. N - 1 the product of tile 3, sixteen rows, and sixteen steps of the
// vectors of queries at b.
template <int N>
static inline void add_tiles(const float * b) {
    constexpr int64_t stride = tile * sizeof(float);
    _tile_loadd(4, b, stride);
    _tile_dpbf16ps(0, 3, 4);
    if constexpr (N > 1) {
        _tile_loadd(5, b + lanes, stride);
        _tile_dpbf16ps(1, 3, 5);
    }
    if constexpr (N > 2) {
        _tile_loadd(6, b + 2 * lanes, stride);
        _tile_dpbf16ps(2, 3, 6);
    }
}
template <int N>
static inline void store_tiles(float * sums) {
    constexpr int64_t stride = tile * sizeof(float);
    _tile_stored(0, sums, stride);
    if constexpr (N > 1)
        _tile_stored(1, sums + lanes, stride);
    if constexpr (N > 2)
        _tile_stored(2, sums + 2 * lanes, stride);
}

// scores [count][tile], of keys [count][steps] and queries [steps][tile]
template <int N>
static void score_by_tiles(const int32_t * k, int64_t steps, const float * q, int64_t count,
                           float * scores) {
    settle();
    for (int64_t i = 0; i < count; i += 16) {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        for (int64_t s = 0; s < steps; s += 16) {
            _tile_loadd(3, k + i * steps + s, steps * 4);
            add_tiles<N>(q + s * tile);
        }
        store_tiles<N>(scores + i * tile);
    }
}

// out [head_dim][tile] times `forget` [tile], plus the values' sums by weights [count / 2][tile],
// which are pairs.
template <int N>
static void add_by_tiles(const int32_t * v, int64_t head_dim, const float * weights, int64_t count,
                         const float * forget, float * out) {
    constexpr int64_t stride = tile * sizeof(float);
    for (int64_t d = 0; d < head_dim; ++d)
        each<N>([&](auto n) {
            float * at = out + d * tile + n * lanes;
            store(at, load(at) * load(forget + n * lanes));
        });
    settle();
    for (int64_t d = 0; d < head_dim; d += 16) {
        float * sums = out + d * tile;
        _tile_loadd(0, sums, stride);
        _tile_loadd(1, sums + lanes, stride); // of no use to fewer queries, and not stored
        _tile_loadd(2, sums + 2 * lanes, stride);
        for (int64_t i = 0; i < count; i += Tiles::keys) {
            _tile_loadd(3, v + (i / 2) * head_dim + d * 16, 64);
            add_tiles<N>(weights + i / 2 * tile);
        }
        store_tiles<N>(sums);
    }
}

} // namespace ltx2::kernels::LTX2_VARIANT

#endif
