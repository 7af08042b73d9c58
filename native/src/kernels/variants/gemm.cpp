#include "kernels/gemm.h"

#include "kernels/simd.h"

#include <utility>

namespace ltx2::kernels::LTX2_VARIANT {

DecodeFn decoder(int ggml_type, bool & has_minima);

#if defined(__AVX512VNNI__)
static constexpr bool has_int8 = true;
#else
static constexpr bool has_int8 = false;
#endif
#if defined(__AVX512BF16__)
static constexpr bool has_bf16 = true;
#else
static constexpr bool has_bf16 = false;
#endif

static constexpr int panel = 2 * lanes;
// Rows of a tile, so that its sums, two vectors of weights and one value stay in registers; int8 has
// its sums twice, as integers and as F32.
static constexpr int rows_f32 = registers == 32 ? 12 : 6, rows_bf16 = 12, rows_int8 = 7;

template <class F, int... I>
static inline __attribute__((always_inline)) void each(F f, std::integer_sequence<int, I...>) {
    (f(std::integral_constant<int, I>()), ...);
}
// f(0), ..., f(N - 1) with indices the compiler knows: a loop it does not unroll leaves the
// registers.
template <int N, class F>
static inline __attribute__((always_inline)) void each(F f) {
    each(f, std::make_integer_sequence<int, N>());
}

static inline int64_t padded(int64_t bytes) {
    // Rows that begin at one place of a cache page would push each other out of the first cache.
    bytes = (bytes + 63) / 64 * 64;
    return bytes % 4096 ? bytes : bytes + 64;
}

static int64_t row_bytes(Arithmetic a, int64_t k) {
    switch (a) {
    case Arithmetic::f32:
        return padded(4 * k);
    case Arithmetic::bf16:
        return padded(4 * ((k + 1) / 2));
    case Arithmetic::int8:
        return padded(k + 12 * (k / 32));
    }
    return 0;
}

// ---- activations

static inline uint16_t bf16_of(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

static void to_bf16(const float * x, uint16_t * out, int64_t n) {
    int64_t i = 0;
#if defined(__AVX512BF16__)
    for (; i + 32 <= n; i += 32) {
        const __m512bh v =
            _mm512_cvtne2ps_pbh(_mm512_loadu_ps(x + i + 16), _mm512_loadu_ps(x + i));
        std::memcpy(out + i, &v, sizeof v);
    }
#endif
    for (; i < n; ++i)
        out[i] = bf16_of(x[i]);
}

static void prepare_int8(const float * x, int64_t k, uint8_t * row) {
    constexpr int parts = 32 / lanes;
    typedef int8_t Bytes __attribute__((vector_size(lanes)));
    const int64_t blocks = k / 32;
    float * scales = reinterpret_cast<float *>(row + k);
    int32_t * begin = reinterpret_cast<int32_t *>(scales + blocks);
    float * sums = reinterpret_cast<float *>(begin + blocks);
    for (int64_t b = 0; b < blocks; ++b, x += 32, row += 32) {
        Vec most = {};
        for (int j = 0; j < parts; ++j) {
            const Vec v = load(x + j * lanes);
            most = max(most, max(v, -v));
        }
        float largest = 0;
        for (int i = 0; i < lanes; ++i)
            largest = most[i] > largest ? most[i] : largest;
        const float scale = largest / 127.0f, inverse = largest > 0 ? 127.0f / largest : 0.0f;
        IVec total = {};
        for (int j = 0; j < parts; ++j) {
            const float magic = 12582912.0f; // 1.5 * 2^23: adding it rounds to an integer
            const Vec rounded = (load(x + j * lanes) * inverse + magic) - magic;
            const IVec whole = __builtin_convertvector(rounded, IVec);
            total += whole;
            const Bytes bytes = __builtin_convertvector(whole, Bytes);
            std::memcpy(row + j * lanes, &bytes, sizeof bytes);
        }
        int32_t sum = 0;
        for (int i = 0; i < lanes; ++i)
            sum += total[i];
        scales[b] = scale;
        begin[b] = -128 * sum;
        sums[b] = scale * static_cast<float>(sum);
    }
}

static void prepare(Arithmetic a, const float * x, int64_t k, uint8_t * row) {
    switch (a) {
    case Arithmetic::f32:
        std::memcpy(row, x, static_cast<size_t>(k) * sizeof(float));
        break;
    case Arithmetic::bf16:
        to_bf16(x, reinterpret_cast<uint16_t *>(row), k);
        if (k % 2)
            reinterpret_cast<uint16_t *>(row)[k] = 0;
        break;
    case Arithmetic::int8:
        prepare_int8(x, k, row);
        break;
    }
}

// ---- weights

#if defined(__AVX512F__)
// 16 x 16 units at a time: pairs, fours, then the four quarters of the vectors.
static inline void transpose_16(const uint32_t * from, int64_t stride, uint32_t * to) {
    __m512i a[16], b[16];
    each<16>([&](auto i) { a[i] = _mm512_loadu_si512(from + i * stride); });
    each<8>([&](auto i) {
        b[2 * i] = _mm512_unpacklo_epi32(a[2 * i], a[2 * i + 1]);
        b[2 * i + 1] = _mm512_unpackhi_epi32(a[2 * i], a[2 * i + 1]);
    });
    each<4>([&](auto i) {
        a[4 * i] = _mm512_unpacklo_epi64(b[4 * i], b[4 * i + 2]);
        a[4 * i + 1] = _mm512_unpackhi_epi64(b[4 * i], b[4 * i + 2]);
        a[4 * i + 2] = _mm512_unpacklo_epi64(b[4 * i + 1], b[4 * i + 3]);
        a[4 * i + 3] = _mm512_unpackhi_epi64(b[4 * i + 1], b[4 * i + 3]);
    });
    each<4>([&](auto i) {
        const __m512i low = _mm512_shuffle_i32x4(a[i], a[4 + i], 0x88);
        const __m512i high = _mm512_shuffle_i32x4(a[i], a[4 + i], 0xdd);
        const __m512i low2 = _mm512_shuffle_i32x4(a[8 + i], a[12 + i], 0x88);
        const __m512i high2 = _mm512_shuffle_i32x4(a[8 + i], a[12 + i], 0xdd);
        const auto put = [&](int row, __m512i v) {
            _mm512_storeu_si512(to + static_cast<int64_t>(row) * panel, v);
        };
        put(i, _mm512_shuffle_i32x4(low, low2, 0x88));
        put(4 + i, _mm512_shuffle_i32x4(high, high2, 0x88));
        put(8 + i, _mm512_shuffle_i32x4(low, low2, 0xdd));
        put(12 + i, _mm512_shuffle_i32x4(high, high2, 0xdd));
    });
}
#endif

static void transpose(const uint32_t * from, int64_t stride, int64_t count, uint32_t * to) {
    int64_t k = 0;
#if defined(__AVX512F__)
    for (; k + 16 <= count; k += 16)
        for (int n = 0; n < panel; n += 16)
            transpose_16(from + n * stride + k, stride, to + k * panel + n);
#endif
    for (; k < count; ++k)
        for (int n = 0; n < panel; ++n)
            to[k * panel + n] = from[n * stride + k];
}

static void scaled(const uint8_t * values, const float * scales, const float * minima,
                   int64_t count, float * out) {
    typedef uint8_t Bytes __attribute__((vector_size(lanes)));
    for (int64_t i = 0; i < count; i += lanes) {
        Bytes bytes;
        std::memcpy(&bytes, values + i, sizeof bytes);
        const Vec v = __builtin_convertvector(__builtin_convertvector(bytes, IVec) - 128, Vec);
        store(out + i, v * scales[i / 32] + (minima ? minima[i / 32] : 0.0f));
    }
}

// ---- tiles

template <int Rows>
static void tile_f32(const GemmTile & t) {
    Vec low[Rows], high[Rows];
    each<Rows>([&](auto r) {
        low[r] = load(t.sums + r * t.sums_stride);
        high[r] = load(t.sums + r * t.sums_stride + lanes);
    });
    const float * w = reinterpret_cast<const float *>(t.panel.units);
    const float * x = reinterpret_cast<const float *>(t.rows.data) + t.first;
    const int64_t stride = t.rows.stride / 4;
    for (int64_t k = 0; k < t.count; ++k, ++x, w += panel) {
        const Vec w0 = load(w), w1 = load(w + lanes);
        each<Rows>([&](auto r) {
            const Vec v = splat(x[r * stride]);
            low[r] += v * w0;
            high[r] += v * w1;
        });
    }
    each<Rows>([&](auto r) {
        store(t.sums + r * t.sums_stride, low[r]);
        store(t.sums + r * t.sums_stride + lanes, high[r]);
    });
}

#if defined(__AVX512BF16__)
static inline __m512bh bf16_pairs(__m512i v) { return (__m512bh)v; }

template <int Rows>
static void tile_bf16(const GemmTile & t) {
    __m512 low[Rows], high[Rows];
    each<Rows>([&](auto r) {
        low[r] = _mm512_loadu_ps(t.sums + r * t.sums_stride);
        high[r] = _mm512_loadu_ps(t.sums + r * t.sums_stride + 16);
    });
    const uint32_t * w = t.panel.units;
    const uint32_t * x = reinterpret_cast<const uint32_t *>(t.rows.data) + t.first / 2;
    const int64_t stride = t.rows.stride / 4;
    for (int64_t k = 0; k < (t.count + 1) / 2; ++k, ++x, w += panel) {
        const __m512bh w0 = bf16_pairs(_mm512_loadu_si512(w));
        const __m512bh w1 = bf16_pairs(_mm512_loadu_si512(w + 16));
        each<Rows>([&](auto r) {
            const __m512bh v =
                bf16_pairs(_mm512_set1_epi32(static_cast<int32_t>(x[r * stride])));
            low[r] = _mm512_dpbf16_ps(low[r], w0, v);
            high[r] = _mm512_dpbf16_ps(high[r], w1, v);
        });
    }
    each<Rows>([&](auto r) {
        _mm512_storeu_ps(t.sums + r * t.sums_stride, low[r]);
        _mm512_storeu_ps(t.sums + r * t.sums_stride + 16, high[r]);
    });
}
#endif

#if defined(__AVX512VNNI__)
template <int Rows, bool Minima>
static void tile_int8(const GemmTile & t) {
    __m512 low[Rows], high[Rows];
    each<Rows>([&](auto r) {
        low[r] = _mm512_loadu_ps(t.sums + r * t.sums_stride);
        high[r] = _mm512_loadu_ps(t.sums + r * t.sums_stride + 16);
    });
    const int64_t blocks = t.k / 32, stride = t.rows.stride;
    const uint8_t * x = t.rows.data + t.first;
    const uint8_t * block = t.rows.data + t.k + t.first / 32 * 4;
    const uint32_t * w = t.panel.units;
    const float * scales = t.panel.scales, * minima = t.panel.minima;
    const auto word = [](const uint8_t * p) {
        int32_t v;
        std::memcpy(&v, p, sizeof v);
        return _mm512_set1_epi32(v);
    };
    for (int64_t b = 0; b < t.count / 32; ++b, x += 32, block += 4, w += 8 * panel,
                 scales += panel) {
        // The weights are 128 too large, to be unsigned: the sums begin with what that adds.
        __m512i s0[Rows], s1[Rows];
        each<Rows>([&](auto r) { s0[r] = s1[r] = word(block + r * stride + 4 * blocks); });
        each<8>([&](auto q) {
            const __m512i w0 = _mm512_loadu_si512(w + q * panel);
            const __m512i w1 = _mm512_loadu_si512(w + q * panel + 16);
            each<Rows>([&](auto r) {
                const __m512i v = word(x + r * stride + 4 * q);
                s0[r] = _mm512_dpbusd_epi32(s0[r], w0, v);
                s1[r] = _mm512_dpbusd_epi32(s1[r], w1, v);
            });
        });
        const __m512 d0 = _mm512_loadu_ps(scales), d1 = _mm512_loadu_ps(scales + 16);
        each<Rows>([&](auto r) {
            const __m512 d = (__m512)word(block + r * stride);
            low[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(s0[r]), _mm512_mul_ps(d0, d), low[r]);
            high[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(s1[r]), _mm512_mul_ps(d1, d), high[r]);
        });
        if (Minima) {
            const __m512 m0 = _mm512_loadu_ps(minima), m1 = _mm512_loadu_ps(minima + 16);
            each<Rows>([&](auto r) {
                const __m512 sum = (__m512)word(block + r * stride + 8 * blocks);
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
#endif

using TileFn = void (*)(const GemmTile &);
template <int... I>
static void run_f32(const GemmTile & t, int rows, std::integer_sequence<int, I...>) {
    static constexpr TileFn tiles[] = {tile_f32<I + 1>...};
    tiles[rows - 1](t);
}
#if defined(__AVX512BF16__)
template <int... I>
static void run_bf16(const GemmTile & t, int rows, std::integer_sequence<int, I...>) {
    static constexpr TileFn tiles[] = {tile_bf16<I + 1>...};
    tiles[rows - 1](t);
}
#endif
#if defined(__AVX512VNNI__)
template <int... I>
static void run_int8(const GemmTile & t, int rows, std::integer_sequence<int, I...>) {
    static constexpr TileFn plain[] = {tile_int8<I + 1, false>...};
    static constexpr TileFn with_minima[] = {tile_int8<I + 1, true>...};
    (t.panel.minima ? with_minima : plain)[rows - 1](t);
}
#endif

static void tile(Arithmetic a, const GemmTile & t, int rows) {
#if defined(__AVX512BF16__)
    if (a == Arithmetic::bf16)
        return run_bf16(t, rows, std::make_integer_sequence<int, rows_bf16>());
#endif
#if defined(__AVX512VNNI__)
    if (a == Arithmetic::int8)
        return run_int8(t, rows, std::make_integer_sequence<int, rows_int8>());
#endif
    (void)a;
    run_f32(t, rows, std::make_integer_sequence<int, rows_f32>());
}

void fill(Gemm & gemm) {
    gemm.panel = panel;
    gemm.most_rows[static_cast<int>(Arithmetic::f32)] = rows_f32;
    gemm.most_rows[static_cast<int>(Arithmetic::bf16)] = has_bf16 ? rows_bf16 : 0;
    gemm.most_rows[static_cast<int>(Arithmetic::int8)] = has_int8 ? rows_int8 : 0;
    gemm.row_bytes = row_bytes;
    gemm.prepare = prepare;
    gemm.to_bf16 = to_bf16;
    gemm.scaled = scaled;
    gemm.transpose = transpose;
    gemm.tile = tile;
    gemm.decoder = decoder;
}

} // namespace ltx2::kernels::LTX2_VARIANT
