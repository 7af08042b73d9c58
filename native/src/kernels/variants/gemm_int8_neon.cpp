// Matrix products of 8-bit values on aarch64: runs of blocks are summed exactly as integers, then
// scaled.
#if defined(__ARM_FEATURE_DOTPROD)

#include "kernels/variants/gemm_parts.h"

namespace ltx2::kernels::LTX2_VARIANT {

static inline int8x16_t bytes_at(const uint32_t * p) {
    return vld1q_s8(reinterpret_cast<const int8_t *>(p));
}

#if defined(__ARM_FEATURE_MATMUL_INT8)

// One instruction multiplies two rows by two outputs, eight values deep.
template <int Bytes, int Rows, int Run>
static inline void sum_run(const Int8Block<Bytes> * x, int64_t blocks, const uint32_t * w,
                           RunSums<Rows> & out) {
    constexpr int twos = (Rows + 1) / 2;
    int32x4_t s[twos][4]; // two outputs each
    each<twos>([&](auto i) {
        each<4>([&](auto j) { s[i][j] = vdupq_n_s32(Bytes == 1 ? first_bits<Run> : 0); });
    });
    for (int64_t b = 0; b < blocks; ++b, ++x, w += 8 * panel)
        each<Bytes>([&](auto p) {
            if (p > 0)
                each<twos>(
                    [&](auto i) { each<4>([&](auto j) { s[i][j] = vshlq_n_s32(s[i][j], 8); }); });
            each<4>([&](auto q) {
                const uint32_t * at = w + 2 * q * panel;
                int8x16_t v[4];
                each<2>([&](auto j) {
                    const uint32x4_t first = vld1q_u32(at + 4 * j);
                    const uint32x4_t second = vld1q_u32(at + panel + 4 * j);
                    v[2 * j] = vreinterpretq_s8_u32(vzip1q_u32(first, second));
                    v[2 * j + 1] = vreinterpretq_s8_u32(vzip2q_u32(first, second));
                });
                each<twos>([&](auto i) {
                    const int8x16_t rows = bytes_at(x->units[p][2 * q] + 4 * i);
                    each<4>([&](auto j) { s[i][j] = vmmlaq_s32(s[i][j], rows, v[j]); });
                });
            });
        });
    const auto halves = [](int32x4_t a, int32x4_t b, IVec & first, IVec & second) {
        const int64x2_t c = vreinterpretq_s64_s32(a), d = vreinterpretq_s64_s32(b);
        first = (IVec)vreinterpretq_s32_s64(vzip1q_s64(c, d));
        second = (IVec)vreinterpretq_s32_s64(vzip2q_s64(c, d));
    };
    each<twos>([&](auto p) {
        halves(s[p][0], s[p][1], out.low[2 * p], out.low[2 * p + 1]);
        halves(s[p][2], s[p][3], out.high[2 * p], out.high[2 * p + 1]);
    });
}

#else

template <int Bytes, int Rows, int Run>
static inline void sum_run(const Int8Block<Bytes> * x, int64_t blocks, const uint32_t * w,
                           RunSums<Rows> & out) {
    each<Rows>(
        [&](auto r) { out.low[r] = out.high[r] = IVec{} + (Bytes == 1 ? first_bits<Run> : 0); });
    for (int64_t b = 0; b < blocks; ++b, ++x, w += 8 * panel)
        each<Bytes>([&](auto p) {
            if (p > 0)
                each<Rows>([&](auto r) {
                    out.low[r] <<= 8;
                    out.high[r] <<= 8;
                });
            each<8>([&](auto q) {
                const int8x16_t w0 = bytes_at(w + q * panel), w1 = bytes_at(w + q * panel + 4);
                const int8x16_t v[2] = {bytes_at(x->units[p][q]), bytes_at(x->units[p][q] + 4)};
                each<Rows>([&](auto r) {
                    constexpr int lane = decltype(r)::value % 4;
                    out.low[r] = (IVec)vdotq_laneq_s32((int32x4_t)out.low[r], w0, v[r / 4], lane);
                    out.high[r] = (IVec)vdotq_laneq_s32((int32x4_t)out.high[r], w1, v[r / 4], lane);
                });
            });
        });
}

#endif

template <int Bytes, int Rows, bool Minima, int Run>
static void tile_of(const GemmTile & t) {
    add_runs<Bytes, Rows, Minima, Run>(
        t, [](const auto * x, int64_t blocks, const uint32_t * w, RunSums<Rows> & out)
               __attribute__((always_inline)) { sum_run<Bytes, Rows, Run>(x, blocks, w, out); });
}

void tile_int8(Arithmetic a, const GemmTile & t, int rows) {
    with_shape(a, t, rows,
               [&](auto p, auto r, auto minima, auto run) { tile_of<p, r, minima, run>(t); });
}

bool multiplies_int8(int, int) { return true; }

} // namespace ltx2::kernels::LTX2_VARIANT

#endif
