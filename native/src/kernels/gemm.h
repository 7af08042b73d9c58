// The inner kernels of matrix products between weights [k, n] and activations [k, rows]. Both are
// rearranged into panels, [k][panel] of some outputs and [k][rows] of some rows, so that a tile of
// rows x outputs reads two streams and keeps its sums in registers. The unit of a panel is four
// bytes: one F32, two of 16 bits or four of 8.
#pragma once

#include "files/format.h"

#include <cstdint>

namespace ltx2::kernels {

// How two values are multiplied; sums are always F32 in the end.
enum class Arithmetic {
    f32,
    bf16,       // pairs
    bf16_split, // likewise, each value as the sum of two: three products
    int8,       // blocks of 32 with one scale, exact within a block
    int16,      // likewise, with activations of 16 bits
    // As int8, for weights of Q4_0: they become 8 bits with one scale for 128 of them, which adds
    // 1% to their own rounding error.
    int4,
    // As int8, with one scale of activations for 256: for weights whose scale is a row's, where a
    // rotation has spread outliers.
    int8_run,
    // 16 bits on either side, with one scale for 128 values, for weights that are no bytes. The
    // norms of both are bounded so that a sum of their products does not overflow.
    int16_both,
};
constexpr int arithmetics = 8;
constexpr int run_blocks = 8;  // of 32 values: those of int8_run that share a scale
constexpr int both_blocks = 4; // those of int16_both
constexpr int64_t int4_group = 128;
constexpr int most_panel = 32; // outputs, of any variant

// One panel of weights, `units` of four bytes long. int8: scales [blocks][panel], and for types
// that have them minima [blocks][panel], else null; bits of a value. int8_run: of runs of blocks,
// or null where all are one. int16_both: scales of runs of blocks.
// bf16_split: whether their second parts are anything but zero, which those of BF16 values are.
struct GemmPanel {
    const uint32_t * units;
    const float * scales;
    const float * minima;
    int bits;
    bool has_rest = true;
};

struct GemmTile {
    const uint8_t * rows; // of `prepare`, where this part of k begins
    int64_t count;        // values of k
    GemmPanel panel;
    float * sums; // [rows][panel] with a stride, added to
    int64_t sums_stride;
};

// Unpacks `count` values of one row of weights, whole blocks, from `first` on, to 8 bits as the
// variant multiplies them; one scale, and one minimum where the type has minima, per block of 32.
using DecodeFn = void (*)(const uint8_t * row, int64_t first, int64_t count, uint8_t * values,
                          float * scales, float * minima);
struct Decoder {
    DecodeFn decode; // null: not of its types, whose values `to_int8` rounds
    int bits;        // of a value
    bool has_minima;
};

// Part of a row of codes: `count` values, whole blocks of 32, from `first`, where a block begins.
// Scales are those of its groups of columns, if it has any.
struct CodedPart {
    Format format;
    const uint8_t * row;
    int64_t columns, first, count;
    const float * scales;
    int64_t group;
    const float * levels; // 16
};

// The same for all the outputs of a panel at once, whose weights begin at rows[i]: into units, and
// scales [blocks or groups][panel].
using UnpackFn = void (*)(const uint8_t * const * rows, int64_t first, int64_t count,
                          uint32_t * units, float * scales);

struct Gemm {
    int panel;                  // outputs
    int most_rows[arithmetics]; // of a tile, by arithmetic; 0 where this variant lacks BF16
    // Bytes of a panel of most_rows rows; k may end where a part of it does.
    int64_t (*rows_bytes)(Arithmetic, int64_t k);
    // `rows` of them, at most most_rows, `stride` values apart.
    void (*prepare)(Arithmetic, const float * x, int64_t stride, int rows, int64_t k,
                    uint8_t * out);
    // What is left of the values goes to `rest`, unless that is null.
    void (*to_bf16)(const float * x, uint16_t * out, uint16_t * rest, int64_t n);
    // Decoded 8-bit values as F32.
    void (*scaled)(const uint8_t * values, const float * scales, const float * minima,
                   int64_t count, float * out);
    // These times x, summed as Rows::dot sums.
    float (*dot_scaled)(const uint8_t * values, const float * scales, const float * minima,
                        int64_t count, const float * x);
    // Values as 8 bits with one scale for 32, as a decoder gives them.
    void (*to_int8)(const float * x, int64_t count, uint8_t * values, float * scales);
    // Values of weights as int16_both multiplies them, with one scale for 128.
    void (*to_int16)(const float * x, int64_t count, int16_t * values, float * scales);
    // from [panel][stride] to [count][panel], in units
    void (*transpose)(const uint32_t * from, int64_t stride, int64_t count, uint32_t * to);
    // Units of 4 bytes, [count][panel], in place: for int16 to pairs of 16-bit values,
    // [2 count][panel], the bytes 0 and 2, then 1 and 3; for int8_run to signed bytes. Either as
    // this variant multiplies them, or not at all.
    void (*adapt)(Arithmetic, uint32_t * units, int64_t count);
    void (*tile)(Arithmetic, const GemmTile &, int rows);
    // What a thread does before and after its tiles; null where there is nothing to do.
    void (*begin)();
    void (*end)();
    // Whether this arithmetic is the fastest for its purpose, with weights of so many bits.
    bool (*multiplies)(Arithmetic, int bits);
    Decoder (*decoder)(int ggml_type); // for int8 and int16
    // What Coding::unscaled gives: as F32 where those are no whole numbers, else as 8-bit values,
    // of so many bits and with one minimum for all, or 0.
    void (*coded_values)(const CodedPart &, float * out);
    void (*coded_bytes)(const CodedPart &, uint8_t * out);
    int (*coded_bits)(Format);
    float (*coded_minimum)(Format);
    // What unpacks faster than decoding row by row and transposing, or null; int4 has no other.
    UnpackFn (*unpacker)(Arithmetic, int ggml_type);
};

} // namespace ltx2::kernels
