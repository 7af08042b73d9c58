// Products of 8-bit values: blocks of 32 are summed exactly as integers, then scaled.
#include "gemm_parts.h"

namespace ltx2::kernels::LTX2_VARIANT {

#if defined(__AVX512VNNI__)

// A block of 32 values of some rows: [8][rows] units, the scales, what the sums begin
// with, and the values' sums times their scales.
template <int Rows>
struct Int8Block {
    uint32_t units[8][Rows];
    float scale[Rows];
    int32_t begin[Rows];
    float sum[Rows];
};

int64_t int8_bytes(int64_t k) {
    return static_cast<int64_t>(sizeof(Int8Block<rows_int8>)) * (k / 32);
}

void prepare_int8(const float * x, int64_t stride, int rows, int64_t k, uint8_t * to) {
    auto * out = reinterpret_cast<Int8Block<rows_int8> *>(to);
    constexpr int parts = 32 / lanes;
    typedef int8_t Bytes __attribute__((vector_size(lanes)));
    for (int64_t b = 0; b < k / 32; ++b, ++out, x += 32) {
        for (int r = 0; r < rows; ++r) {
            Vec v[parts], most = {};
            for (int j = 0; j < parts; ++j) {
                v[j] = load(x + r * stride + j * lanes);
                most = max(most, max(v[j], -v[j]));
            }
            const float largest = largest_of(most);
            const float inverse = largest > 0 ? 127.0f / largest : 0.0f;
            IVec total = {};
            uint32_t units[8];
            for (int j = 0; j < parts; ++j) {
                const float magic = 12582912.0f; // 1.5 * 2^23: adding it rounds to an integer
                const Vec rounded = (v[j] * inverse + magic) - magic;
                const IVec whole = __builtin_convertvector(rounded, IVec);
                total += whole;
                const Bytes bytes = __builtin_convertvector(whole, Bytes);
                std::memcpy(reinterpret_cast<uint8_t *>(units) + j * lanes, &bytes, sizeof bytes);
            }
            for (int i = 0; i < 8; ++i)
                out->units[i][r] = units[i];
            const int32_t sum = sum_of(total);
            out->scale[r] = largest / 127.0f;
            out->begin[r] = 0x4b400000 - 128 * sum;
            out->sum[r] = largest / 127.0f * static_cast<float>(sum);
        }
    }
}

static inline __m512 whole(__m512i sum) {
    return _mm512_sub_ps(_mm512_castsi512_ps(sum), _mm512_set1_ps(12582912.0f));
}

template <int Rows, bool Minima>
static void tile_of(const GemmTile & t) {
    __m512 low[Rows], high[Rows];
    each<Rows>([&](auto r) {
        low[r] = _mm512_loadu_ps(t.sums + r * t.sums_stride);
        high[r] = _mm512_loadu_ps(t.sums + r * t.sums_stride + 16);
    });
    const auto * x = reinterpret_cast<const Int8Block<rows_int8> *>(t.rows);
    const uint32_t * w = t.panel.units;
    const float *scales = t.panel.scales, *minima = t.panel.minima;
    for (int64_t b = 0; b < t.count / 32; ++b, ++x, w += 8 * panel, scales += panel) {
        // The weights are 128 too large, to be unsigned: the sums begin with what that adds, and
        // with the bits of the F32 1.5 * 2^23. They stay below 2^22, so that they end as the bits
        // of 1.5 * 2^23 + sum: a subtraction makes them F32, where a conversion would wait for the
        // ports of the multipliers.
        __m512i s0[Rows], s1[Rows];
        each<Rows>([&](auto r) { s0[r] = s1[r] = _mm512_set1_epi32(x->begin[r]); });
        each<8>([&](auto q) {
            const __m512i w0 = _mm512_loadu_si512(w + q * panel);
            const __m512i w1 = _mm512_loadu_si512(w + q * panel + 16);
            each<Rows>([&](auto r) {
                const __m512i v = _mm512_set1_epi32(static_cast<int32_t>(x->units[q][r]));
                s0[r] = _mm512_dpbusd_epi32(s0[r], w0, v);
                s1[r] = _mm512_dpbusd_epi32(s1[r], w1, v);
            });
        });
        const __m512 d0 = _mm512_loadu_ps(scales), d1 = _mm512_loadu_ps(scales + 16);
        each<Rows>([&](auto r) {
            const __m512 d = _mm512_set1_ps(x->scale[r]);
            low[r] = _mm512_fmadd_ps(whole(s0[r]), _mm512_mul_ps(d0, d), low[r]);
            high[r] = _mm512_fmadd_ps(whole(s1[r]), _mm512_mul_ps(d1, d), high[r]);
        });
        if (Minima) {
            const __m512 m0 = _mm512_loadu_ps(minima), m1 = _mm512_loadu_ps(minima + 16);
            each<Rows>([&](auto r) {
                const __m512 sum = _mm512_set1_ps(x->sum[r]);
                low[r] = _mm512_fmadd_ps(sum, m0, low[r]);
                high[r] = _mm512_fmadd_ps(sum, m1, high[r]);
            });
            minima += panel;
        }
    }
    each<Rows>([&](auto r) {
        _mm512_storeu_ps(t.sums + r * t.sums_stride, low[r]);
        _mm512_storeu_ps(t.sums + r * t.sums_stride + 16, high[r]);
    });
}

template <int... I>
static void run_int8(const GemmTile & t, int rows, std::integer_sequence<int, I...>) {
    static constexpr void (*plain[])(const GemmTile &) = {tile_of<I + 1, false>...};
    static constexpr void (*with_minima[])(const GemmTile &) = {tile_of<I + 1, true>...};
    (t.panel.minima ? with_minima : plain)[rows - 1](t);
}

void tile_int8(const GemmTile & t, int rows) {
    run_int8(t, rows, std::make_integer_sequence<int, rows_int8>());
}

#else

int64_t int8_bytes(int64_t) { return 0; }
void prepare_int8(const float *, int64_t, int, int64_t, uint8_t *) {}
void tile_int8(const GemmTile &, int) {}

#endif

} // namespace ltx2::kernels::LTX2_VARIANT
