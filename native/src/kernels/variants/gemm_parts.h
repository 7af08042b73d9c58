// What the files of the matrix product share, in the namespace of their variant.
#pragma once

#include "kernels/gemm.h"

#include "kernels/simd.h"
#include "kernels/variants/transpose.h"
#include "kernels/variants/vnni.h"

namespace ltx2::kernels::LTX2_VARIANT {

constexpr int panel = 2 * lanes; // outputs

// Rows of a tile of 8-bit values, 0 where this variant has none, and what is added to the weights:
// the dot products of VNNI need them unsigned.
#if defined(__AVX512VNNI__)
constexpr int rows_int8 = 7, int8_offset = 128;
#elif defined(__AVXVNNI__)
constexpr int rows_int8 = 5, int8_offset = 128;
#elif defined(__AVX512F__)
constexpr int rows_int8 = 7, int8_offset = 0;
#elif defined(__AVX2__)
constexpr int rows_int8 = 6, int8_offset = 0;
#elif defined(__ARM_FEATURE_DOTPROD)
constexpr int rows_int8 = 8, int8_offset = 0;
#else
constexpr int rows_int8 = 0, int8_offset = 0;
#endif

// Rows of a tile on tile registers, whose products are so fast that weights of all types become
// BF16.
constexpr int rows_amx = 32;

// Sixteen bytes at once.
typedef uint8_t Bytes __attribute__((vector_size(16)));

static inline Bytes bytes_at(const void * p) {
    Bytes v;
    std::memcpy(&v, p, sizeof v);
    return v;
}
// table[i] of each index, below 16.
static inline Bytes looked_up(Bytes table, Bytes index) {
#if defined(__AVX2__)
    return (Bytes)_mm_shuffle_epi8((__m128i)table, (__m128i)index);
#elif defined(__aarch64__)
    return (Bytes)vqtbl1q_u8((uint8x16_t)table, (uint8x16_t)index);
#else
    Bytes out;
    for (int i = 0; i < 16; ++i)
        out[i] = table[index[i]];
    return out;
#endif
}

// Without VNNI, products of bytes are summed in pairs to 16 bits, where those of unsigned weights
// of 4 or 5 bits leave room for more.
#if defined(__AVX2__) && !defined(__AVX512VNNI__) && !defined(__AVXVNNI__)
constexpr bool unsigned_small = true;
#else
constexpr bool unsigned_small = false;
#endif
// Whether values of 16 bits are multiplied as such, in pairs, or as two planes of bytes.
#if defined(__AVX2__)
constexpr bool int16_pairs = true;
#else
constexpr bool int16_pairs = false;
#endif

// The bits of `rounder`. A sum of integers that begins with them and stays below 2^22 ends as the
// bits of rounder + sum: a subtraction makes it F32, where a conversion would wait for the ports of
// the multipliers.
constexpr int32_t sum_bits = 0x4b400000;
// What the sums of a run of so many blocks begin with: those of several are too large for that.
template <int Run>
constexpr int32_t first_bits = Run == 1 ? sum_bits : 0;
// A run's sum as F32.
template <int Bytes, int Run>
static inline Vec as_f32(IVec sum) {
    return Bytes == 1 && Run == 1 && !unsigned_small ? (Vec)sum - rounder
                                                     : __builtin_convertvector(sum, Vec);
}
// The blocks of the next run, of so many that are left.
template <int Run>
static inline int64_t run_of(int64_t left) {
    return Run > 1 && left < Run ? left : Run;
}

// A block of some rows, of values of one byte or two: units [Bytes][units][rows], and of the run
// that it begins the scales, what sums of bytes start from, and the values' sums times the scales.
// Of two bytes the high ones come first, then the low ones; with int16_pairs the values 0 and 2,
// then 1 and 3 of each four, and of int16_both two neighbours.
template <int Bytes>
struct Int8Block {
    static constexpr int rows = rows_int8 > 0 ? rows_int8 : 1;
    static constexpr int bytes = Bytes;
    uint32_t units[Bytes][8][rows]; // with MATMUL_INT8 in another order: `unit` knows
    float scale[rows];
    int32_t begin[rows];
    float sum[rows];

    uint32_t & unit(int plane, int i, int r) {
#if defined(__ARM_FEATURE_MATMUL_INT8) // two units of a row, the same two of the next, ...
        const int at = i / 2 * 2 * rows + r / 2 * 4 + r % 2 * 2 + i % 2;
        return units[plane][at / rows][at % rows];
#else
        return units[plane][i][r];
#endif
    }
};

// A run's integer sums of some rows and a panel; one row more, since they may come in twos.
template <int Rows>
struct RunSums {
    IVec low[Rows + 1], high[Rows + 1];
};

// Adds to a tile's sums, in registers, those of its runs of blocks, which sum_run(blocks, how many
// there are, units, out) makes.
template <int Bytes, int Rows, bool Minima, int Run, class SumRun>
static inline __attribute__((always_inline)) void add_runs(const GemmTile & t,
                                                           const SumRun & sum_run) {
    Sums<Rows> sums;
    load(sums, t.sums, t.sums_stride);
    const auto * x = reinterpret_cast<const Int8Block<Bytes> *>(t.rows);
    const uint32_t * w = t.panel.units;
    const float *scales = t.panel.scales, *minima = t.panel.minima;
    constexpr int units = int16_pairs ? 8 * Bytes : 8;
    for (int64_t left = t.count / 32; left > 0; left -= Run, x += Run, w += Run * units * panel) {
        RunSums<Rows> s;
        sum_run(x, run_of<Run>(left), w, s);
        if (Run > 1 && !scales) {
            each<Rows>([&](auto r) __attribute__((always_inline)) {
                sums.low[r] += as_f32<Bytes, Run>(s.low[r]) * x->scale[r];
                sums.high[r] += as_f32<Bytes, Run>(s.high[r]) * x->scale[r];
            });
            continue;
        }
        const Vec d0 = load(scales), d1 = load(scales + lanes);
        each<Rows>([&](auto r) __attribute__((always_inline)) {
            sums.low[r] += as_f32<Bytes, Run>(s.low[r]) * (d0 * x->scale[r]);
            sums.high[r] += as_f32<Bytes, Run>(s.high[r]) * (d1 * x->scale[r]);
        });
        if (Minima) {
            add_step(sums, minima, [&](int r) { return x->sum[r]; });
            minima += panel;
        }
        scales += panel;
    }
    store(t.sums, t.sums_stride, sums);
}

// gemm_amx.cpp: planes of BF16, 1 or 2
void prepare_amx(int planes, const float * x, int64_t stride, int rows, int64_t k, uint8_t * out);
void tile_amx(int planes, const GemmTile & t, int rows);
// gemm_amx_int8.cpp: int8_run
int64_t run_bytes_amx(int64_t k);
void prepare_run_amx(const float * x, int64_t stride, int rows, int64_t k, uint8_t * out);
void tile_run_amx(const GemmTile & t, int rows);
// gemm_int8.cpp
int64_t int8_bytes(Arithmetic arithmetic, int64_t k);
void prepare_int8(Arithmetic arithmetic, const float * x, int64_t stride, int rows, int64_t k,
                  uint8_t * out);
// gemm_int8.cpp, gemm_int8_x86.cpp or gemm_int8_neon.cpp
void tile_int8(Arithmetic arithmetic, const GemmTile & t, int rows);
// Whether activations of so many bytes, and weights of so many bits, are faster than F32.
bool multiplies_int8(int bytes, int bits);
// tile(bytes, rows, whether there are minima, blocks of a run) with constants.
template <class Tile>
static inline void with_shape(Arithmetic a, const GemmTile & t, int rows, const Tile & tile) {
    const std::integral_constant<int, 1> one;
    const std::integral_constant<int, 2> two;
    const std::integral_constant<int, run_blocks> run;
    [[maybe_unused]] const std::integral_constant<int, both_blocks> both;
    with_count<rows_int8>(rows, [&](auto r) {
        const auto with_minima = [&](auto minima) {
            if constexpr (has_vnni)
                if (a == Arithmetic::int16_both)
                    return tile(two, r, std::false_type(), both);
            if (a == Arithmetic::int8_run)
                tile(one, r, minima, run);
            else
                a == Arithmetic::int16 ? tile(two, r, minima, one) : tile(one, r, minima, one);
        };
        t.panel.minima ? with_minima(std::true_type()) : with_minima(std::false_type());
    });
}
// gemm_int8_x86.cpp, with AVX-512 VNNI
void tile_int4(const GemmTile & t, int rows);
// gemm_decode.cpp
Decoder decoder(int ggml_type);
// gemm_coded.cpp
void coded_values(const CodedPart & part, float * out);
void coded_bytes(const CodedPart & part, uint8_t * out);
int coded_bits(Format format);
float coded_minimum(Format format);
// gemm_unpack.cpp
UnpackFn unpacker(Arithmetic arithmetic, int ggml_type);

} // namespace ltx2::kernels::LTX2_VARIANT
