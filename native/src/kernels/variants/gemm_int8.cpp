// Activations as 8-bit values, in blocks of 32 with one scale.
#include "kernels/variants/gemm_parts.h"

namespace ltx2::kernels::LTX2_VARIANT {

// Where the weights are too large by int8_offset, the sums begin with what that adds.
template <class Block>
static inline void prepare_block(const float * x, int r, Block & out) {
    constexpr int parts = 32 / lanes, units_count = 8;
    constexpr float most_value = Block::bytes == 1 ? 127.0f : 127.0f * 256;
    typedef int8_t Bytes __attribute__((vector_size(lanes)));
    Vec v[parts];
    IVec most = {};
    for (int j = 0; j < parts; ++j) {
        v[j] = load(x + j * lanes);
        most = max(most, magnitude(v[j]));
    }
    const float largest = largest_of(most);
    // Of a block too small for that quotient nothing is left. One that is not finite has a scale
    // that is not, which makes its products so.
    const float inverse = largest > 1e-30f ? most_value / largest : 0.0f;
    if (!(largest - largest == 0))
        for (Vec & values : v)
            values = Vec{};
    IVec totals = {}, wholes[parts];
    uint32_t units[Block::bytes][units_count];
    for (int j = 0; j < parts; ++j) {
        IVec whole = wholes[j] = __builtin_convertvector(rounded(v[j] * inverse), IVec);
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
    const int32_t total = sum(totals);
    out.begin[r] = sum_bits - int8_offset * total;
    out.scale[r] = largest / most_value;
    out.sum[r] = largest / most_value * static_cast<float>(total);
}

template <class Block>
static void prepare_some(const float * x, int64_t stride, int rows, int64_t k, uint8_t * to) {
    auto * out = reinterpret_cast<Block *>(to);
    for (int64_t i = 0; i < k; i += 32, ++out)
        for (int r = 0; r < rows; ++r)
            prepare_block(x + r * stride + i, r, *out);
}

int64_t int8_bytes(Arithmetic arithmetic, int64_t k) {
    return static_cast<int64_t>(arithmetic == Arithmetic::int16 ? sizeof(Int8Block<2>)
                                                                : sizeof(Int8Block<1>)) *
           (k / 32);
}

void prepare_int8(Arithmetic arithmetic, const float * x, int64_t stride, int rows, int64_t k,
                  uint8_t * out) {
    (arithmetic == Arithmetic::int16 ? prepare_some<Int8Block<2>>
                                     : prepare_some<Int8Block<1>>)(x, stride, rows, k, out);
}

#if !defined(__AVX2__) && !defined(__ARM_FEATURE_DOTPROD) // else another file has them

void tile_int8(int, const GemmTile &, int) {}
bool multiplies_int8(int, int) { return false; }

#endif

} // namespace ltx2::kernels::LTX2_VARIANT
