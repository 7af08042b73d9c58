// Activations as integers of 8 or 16 bits, in blocks of 32 with one scale, or in runs of such
// blocks.
#include "kernels/variants/gemm_parts.h"

namespace ltx2::kernels::LTX2_VARIANT {

// A block's values, which `inverse` makes whole numbers; adds these to `totals`.
template <class Block>
static inline void round_block(const float * x, float inverse, bool finite, int r, Block & out,
                               IVec & totals) {
    constexpr int parts = 32 / lanes, units_count = 8;
    typedef int8_t Bytes __attribute__((vector_size(lanes)));
    IVec wholes[parts];
    uint32_t units[Block::bytes][units_count];
    for (int j = 0; j < parts; ++j) {
        const Vec v = finite ? load(x + j * lanes) : Vec{};
        IVec whole = wholes[j] = nearest(v * inverse);
        totals += whole;
        for (int p = 0; p < Block::bytes; ++p) {
            const IVec part = p + 1 < Block::bytes ? (whole + 128) >> 8 : whole;
            whole -= part << 8;
            const Bytes bytes = __builtin_convertvector(part, Bytes);
            std::memcpy(reinterpret_cast<uint8_t *>(units[p]) + j * lanes, &bytes, sizeof bytes);
        }
    }
    if (Block::bytes == 2 && int16_pairs)
        for (int i = 0; i < 16; ++i) {
            const int at = i / 2 * 4 + i % 2, next = at + 2;
            const auto low = static_cast<uint16_t>(wholes[at / lanes][at % lanes]);
            const auto high = static_cast<uint32_t>(wholes[next / lanes][next % lanes]);
            units[i / 8][i % 8] = low | high << 16;
        }
    for (int p = 0; p < Block::bytes; ++p)
        for (int i = 0; i < units_count; ++i)
            out.unit(p, i, r) = units[p][i];
}

// `blocks` of them, at most Run, share a scale, which the first one keeps. Where the weights are
// too large by int8_offset, the sums begin with what that adds.
template <int Run, class Block>
static inline void prepare_run(const float * x, int r, int64_t blocks, Block * out) {
    constexpr float most_value = Block::bytes == 1 ? 127.0f : 127.0f * 256;
    IVec most = {}, totals = {};
    for (int64_t i = 0; i < 32 * blocks; i += lanes)
        most = max(most, magnitude(load(x + i)));
    const float largest = largest_of(most);
    // Of values too small for that quotient nothing is left. One that is not finite makes the scale
    // so, and that the products.
    const float scale = largest / most_value;
    const float inverse = largest > 1e-30f ? most_value / largest : 0.0f;
    const bool finite = largest - largest == 0;
    for (int64_t b = 0; b < blocks; ++b)
        round_block(x + 32 * b, inverse, finite, r, out[b], totals);
    const int32_t total = sum(totals);
    out->begin[r] = first_bits<Run> - int8_offset * total;
    out->scale[r] = scale;
    out->sum[r] = scale * static_cast<float>(total);
}

template <int Run, class Block>
static void prepare_some(const float * x, int64_t stride, int rows, int64_t k, uint8_t * to) {
    auto * out = reinterpret_cast<Block *>(to);
    for (int64_t i = 0; i < k; i += 32 * Run, out += Run)
        for (int r = 0; r < rows; ++r)
            prepare_run<Run>(x + r * stride + i, r, run_of<Run>((k - i) / 32), out);
}

#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)
// Of int16_both: neighbours are a unit.
static void prepare_both(const float * x, int64_t stride, int rows, int64_t k, uint8_t * to) {
    constexpr int64_t run = 32 * both_blocks;
    auto * out = reinterpret_cast<Int8Block<2> *>(to);
    for (int64_t i = 0; i < k; i += run, out += both_blocks)
        for (int r = 0; r < rows; ++r) {
            const int64_t count = k - i < run ? k - i : run;
            int16_t values[run];
            round_int16(x + r * stride + i, count, values, out->scale[r]);
            for (int64_t pair = 0; pair < count / 2; ++pair)
                std::memcpy(&out[pair / 16].units[pair / 8 % 2][pair % 8][r], values + 2 * pair, 4);
        }
}
#endif

int64_t int8_bytes(Arithmetic arithmetic, int64_t k) {
    const bool is_wide = arithmetic == Arithmetic::int16 || arithmetic == Arithmetic::int16_both;
    return static_cast<int64_t>(is_wide ? sizeof(Int8Block<2>) : sizeof(Int8Block<1>)) * (k / 32);
}

void prepare_int8(Arithmetic arithmetic, const float * x, int64_t stride, int rows, int64_t k,
                  uint8_t * out) {
#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)
    if (arithmetic == Arithmetic::int16_both)
        return prepare_both(x, stride, rows, k, out);
#endif
    const auto prepare = arithmetic == Arithmetic::int16 ? prepare_some<1, Int8Block<2>>
                         : arithmetic == Arithmetic::int8_run
                             ? prepare_some<run_blocks, Int8Block<1>>
                             : prepare_some<1, Int8Block<1>>;
    prepare(x, stride, rows, k, out);
}

#if !defined(__AVX2__) && !defined(__ARM_FEATURE_DOTPROD) // else another file has them

void tile_int8(Arithmetic, const GemmTile &, int) {}
bool multiplies_int8(int, int) { return false; }

#endif

} // namespace ltx2::kernels::LTX2_VARIANT
