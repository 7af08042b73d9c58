// The inner kernels of matrix products between weights [k, n] and activations [k, rows]: the weights
// of `panel` outputs are brought into one order, [k][panel], in which a tile of rows x panel sums
// stays in registers. The unit of a panel is four bytes: one F32, two BF16 or four 8-bit values, so
// that all three share the transposition.
#pragma once

#include <cstdint>

namespace ltx2::kernels {

// How two values are multiplied; sums are always F32 in the end.
enum class Arithmetic {
    f32,
    bf16, // pairs
    int8, // blocks of 32 with a scale each, exact in between
};

// A row of activations, as `prepare` writes it. int8: k values, then for each block its scale (F32),
// what its sum begins with (I32) and its sum times its scale (F32).
struct GemmRows {
    const uint8_t * data;
    int64_t stride; // bytes
};

// One panel of weights, `units` of four bytes long. int8: scales [blocks][panel], and for types that
// have them minima [blocks][panel], else null.
struct GemmPanel {
    const uint32_t * units;
    const float * scales;
    const float * minima;
};

struct GemmTile {
    GemmRows rows; // at the first row
    int64_t k;     // of a whole row
    int64_t first; // the part of k that the panel holds
    int64_t count;
    GemmPanel panel;
    float * sums; // [rows][panel] with a stride, added to
    int64_t sums_stride;
};

// Unpacks `count` values of one row of weights, whole blocks, from `first` on. int8: 128 is added to
// each value; scales and minima (null where the type has none) one a block of 32.
using DecodeFn = void (*)(const uint8_t * row, int64_t first, int64_t count, uint8_t * values,
                          float * scales, float * minima);

struct Gemm {
    int panel;                  // outputs
    int most_rows[3];           // of a tile, by arithmetic; 0 where this variant lacks it
    int64_t (*row_bytes)(Arithmetic, int64_t k);
    void (*prepare)(Arithmetic, const float * x, int64_t k, uint8_t * row);
    void (*to_bf16)(const float * x, uint16_t * out, int64_t n);
    // Decoded 8-bit values as F32.
    void (*scaled)(const uint8_t * values, const float * scales, const float * minima,
                   int64_t count, float * out);
    // from [panel][stride] to [count][panel], in units
    void (*transpose)(const uint32_t * from, int64_t stride, int64_t count, uint32_t * to);
    void (*tile)(Arithmetic, const GemmTile &, int rows);
    DecodeFn (*decoder)(int ggml_type, bool & has_minima); // for int8; null: not of its types
};

} // namespace ltx2::kernels
