#include "kernels/variants/gemm_parts.h"
#include "kernels/variants/tiles.h"

namespace ltx2::kernels::LTX2_VARIANT {

// Rows of a tile, so that its sums, two vectors of weights and one value stay in registers.
static constexpr int rows_f32 = registers == 32 ? 12 : 6, rows_pairs = 12;
static constexpr int rows_bf16 = has_amx ? rows_amx : has_bf16 ? rows_pairs : 0;
static constexpr int rows_split = has_amx ? rows_amx : 0, rows_run = has_amx ? rows_amx : rows_int8;

static int bytes(Arithmetic a) { return a == Arithmetic::int16 ? 2 : 1; }

static int planes(Arithmetic a) { return a == Arithmetic::bf16_split ? 2 : 1; }

static int64_t rows_bytes(Arithmetic a, int64_t k) {
    switch (a) {
    case Arithmetic::f32:
        return 4 * rows_f32 * k;
    case Arithmetic::bf16:
    case Arithmetic::bf16_split:
        if (has_amx)
            return planes(a) * 2 * rows_amx * ((k + 31) / 32 * 32);
        return 4 * rows_pairs * ((k + 1) / 2);
    case Arithmetic::int8_run:
#if defined(__AMX_INT8__)
        return run_bytes_amx(k);
#endif
    case Arithmetic::int8:
    case Arithmetic::int16:
    case Arithmetic::int16_both:
    case Arithmetic::int4:
        return int8_bytes(a, k);
    }
    return 0;
}

// ---- activations

static inline uint16_t bf16_of(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    if (x != x) // rounding would carry into the exponent and the sign
        return 0x7fff;
    return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

static void to_bf16(const float * x, uint16_t * out, uint16_t * rest, int64_t n) {
    int64_t i = 0;
#if defined(__AVX512BF16__)
    for (; i + 32 <= n; i += 32) {
        const Split s = split(_mm512_loadu_ps(x + i), _mm512_loadu_ps(x + i + 16));
        _mm512_storeu_si512(out + i, s.high);
        if (rest)
            _mm512_storeu_si512(rest + i, s.low);
    }
#endif
    for (; i < n; ++i) {
        out[i] = bf16_of(x[i]);
        const uint32_t bits = static_cast<uint32_t>(out[i]) << 16;
        float high;
        std::memcpy(&high, &bits, sizeof high);
        if (rest)
            rest[i] = bf16_of(x[i] - high);
    }
}

static void prepare_f32(const float * x, int64_t stride, int rows, int64_t k, float * out) {
    for (int r = 0; r < rows; ++r)
        for (int64_t i = 0; i < k; ++i)
            out[i * rows_f32 + r] = x[r * stride + i];
}

static void prepare_bf16(const float * x, int64_t stride, int rows, int64_t k, uint32_t * out) {
    constexpr int some = 64;
    for (int64_t first = 0; first < k; first += some, out += some / 2 * rows_pairs) {
        const int64_t count = k - first < some ? k - first : some;
        for (int r = 0; r < rows; ++r) {
            uint32_t pairs[some / 2];
            pairs[count / 2 % (some / 2)] = 0; // the second of an odd number's last
            to_bf16(x + r * stride + first, reinterpret_cast<uint16_t *>(pairs), nullptr, count);
            for (int64_t i = 0; i < (count + 1) / 2; ++i)
                out[i * rows_pairs + r] = pairs[i];
        }
    }
}

static void prepare(Arithmetic a, const float * x, int64_t stride, int rows, int64_t k,
                    uint8_t * out) {
    switch (a) {
    case Arithmetic::f32:
        return prepare_f32(x, stride, rows, k, reinterpret_cast<float *>(out));
    case Arithmetic::bf16:
    case Arithmetic::bf16_split:
#if defined(__AMX_BF16__)
        return prepare_amx(planes(a), x, stride, rows, k, out);
#endif
        return prepare_bf16(x, stride, rows, k, reinterpret_cast<uint32_t *>(out));
    case Arithmetic::int8_run:
#if defined(__AMX_INT8__)
        return prepare_run_amx(x, stride, rows, k, out);
#endif
    case Arithmetic::int8:
    case Arithmetic::int16:
    case Arithmetic::int16_both:
    case Arithmetic::int4:
        return prepare_int8(a, x, stride, rows, k, out);
    }
}

// ---- weights

static void transpose(const uint32_t * from, int64_t stride, int64_t count, uint32_t * to) {
    int64_t k = 0;
#if defined(__AVX512F__)
    for (; k + 16 <= count; k += 16)
        for (int n = 0; n < panel; n += 16) {
            __m512i v[16];
            each<16>([&](auto i) { v[i] = _mm512_loadu_si512(from + (n + i) * stride + k); });
            transpose_16(
                v, [&](int i, __m512i row) { _mm512_storeu_si512(to + (k + i) * panel + n, row); });
        }
#endif
    for (; k < count; ++k)
        for (int n = 0; n < panel; ++n)
            to[k * panel + n] = from[n * stride + k];
}

// 8-bit values as they are multiplied; GCC takes them apart one by one unless it is told how.
static inline IVec widened(const uint8_t * values) {
    constexpr bool is_signed = int8_offset == 0;
#if defined(__AVX512F__)
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i *>(values));
    return (IVec)(is_signed ? _mm512_cvtepi8_epi32(bytes) : _mm512_cvtepu8_epi32(bytes));
#elif defined(__AVX2__)
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i *>(values));
    return (IVec)(is_signed ? _mm256_cvtepi8_epi32(bytes) : _mm256_cvtepu8_epi32(bytes));
#else
    typedef std::conditional_t<is_signed, int8_t, uint8_t> Bytes
        __attribute__((vector_size(lanes)));
    Bytes bytes;
    std::memcpy(&bytes, values, sizeof bytes);
    return __builtin_convertvector(bytes, IVec);
#endif
}

// Decoded values as F32.
struct Scaled {
    const uint8_t * values;
    const float *scales, *minima;

    // Those from `i` on, of block `b`.
    template <bool HasMinima>
    inline Vec at(int64_t i, int64_t b) const {
        const Vec v = __builtin_convertvector(widened(values + i) - int8_offset, Vec);
        return v * scales[b] + (HasMinima ? minima[b] : 0.0f);
    }
    // body(at) with the one of both that fits
    template <class Body>
    inline auto with(const Body & body) const {
        return minima ? body([this](int64_t i, int64_t b) { return at<true>(i, b); })
                      : body([this](int64_t i, int64_t b) { return at<false>(i, b); });
    }
};

static void scaled(const uint8_t * values, const float * scales, const float * minima,
                   int64_t count, float * out) {
    Scaled{values, scales, minima}.with([&](auto at) {
        for (int64_t b = 0; b < count / 32; ++b)
            each<32 / lanes>([&](auto j) {
                const int64_t i = 32 * b + j * lanes;
                store(out + i, at(i, b));
            });
    });
}

static float dot_scaled(const uint8_t * values, const float * scales, const float * minima,
                        int64_t count, const float * x) {
    return Scaled{values, scales, minima}.with([&](auto at) {
        Vec sums[4] = {};
        int64_t i = 0;
        for (; i + 4 * lanes <= count; i += 4 * lanes) {
            const int64_t b = i / 32;
            each<4>([&](auto j) {
                constexpr int64_t past = j * lanes;
                sums[j] += load(x + i + past) * at(i + past, b + past / 32);
            });
        }
        for (; i < count; i += lanes)
            sums[0] += load(x + i) * at(i, i / 32);
        return sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
    });
}

static void to_int8(const float * x, int64_t count, uint8_t * values, float * scales) {
    constexpr int parts = 32 / lanes;
    typedef uint8_t Bytes __attribute__((vector_size(lanes)));
    for (int64_t b = 0; b < count / 32; ++b, x += 32, values += 32) {
        Vec v[parts];
        IVec most = {};
        for (int j = 0; j < parts; ++j) {
            v[j] = load(x + j * lanes);
            most = max(most, magnitude(v[j]));
        }
        const float largest = largest_of(most);
        scales[b] = largest / 127; // not finite where a value is not, which makes its products so
        const bool finite = largest - largest == 0;
        const float inverse = largest > 1e-30f ? 127 / largest : 0.0f;
        for (int j = 0; j < parts; ++j) {
            const Vec scaled = finite ? v[j] * inverse : Vec{};
            const IVec whole = nearest(scaled);
            const Bytes bytes = __builtin_convertvector(whole + int8_offset, Bytes);
            std::memcpy(values + j * lanes, &bytes, sizeof bytes);
        }
    }
}

static void to_int16([[maybe_unused]] const float * x, [[maybe_unused]] int64_t count,
                     [[maybe_unused]] int16_t * values, [[maybe_unused]] float * scales) {
#if defined(__AVX2__)
    constexpr int64_t run = 32 * both_blocks;
    for (int64_t i = 0; i < count; i += run)
        round_int16(x + i, count - i < run ? count - i : run, values + i, scales[i / run]);
#endif
}

// From the end, so that nothing is overwritten before it is read.
static void widen(uint32_t * units, int64_t count) {
    // Unsigned, since these wrap.
    typedef uint8_t Bytes __attribute__((vector_size(sizeof(Vec))));
    typedef uint16_t Words __attribute__((vector_size(sizeof(Vec))));
    typedef int16_t Halves __attribute__((vector_size(sizeof(Vec))));
    for (int64_t i = count * panel - lanes; i >= 0; i -= lanes) {
        Bytes bytes;
        std::memcpy(&bytes, units + i, sizeof bytes);
        const Words v = (Words)(bytes - static_cast<uint8_t>(int8_offset));
        const Halves even = (Halves)(v << 8) >> 8, odd = (Halves)v >> 8;
        uint32_t * to = units + i / panel * 2 * panel + i % panel;
        std::memcpy(to, &even, sizeof even);
        std::memcpy(to + panel, &odd, sizeof odd);
    }
}

static void adapt(Arithmetic a, uint32_t * units, int64_t count) {
    if (a == Arithmetic::int16 && int16_pairs)
        widen(units, count);
    if (a == Arithmetic::int8_run && has_amx)
        for (int64_t i = 0; i < count * panel; ++i)
            units[i] ^= 0x01010101u * int8_offset;
}

// ---- tiles

template <int Rows>
static void tile_f32(const GemmTile & t) {
    Sums<Rows> s;
    load(s, t.sums, t.sums_stride);
    const float * w = reinterpret_cast<const float *>(t.panel.units);
    const float * x = reinterpret_cast<const float *>(t.rows);
    LTX2_UNROLL_STEPS
    for (int64_t k = 0; k < t.count; ++k, x += rows_f32, w += panel)
        add_step(s, w, [&](int r) { return x[r]; });
    store(t.sums, t.sums_stride, s);
}

#if defined(__AVX512BF16__) && !defined(__AMX_BF16__)
template <int Rows>
static void tile_bf16(const GemmTile & t) {
    Sums<Rows> s;
    load(s, t.sums, t.sums_stride);
    const uint32_t * w = t.panel.units;
    const int32_t * x = reinterpret_cast<const int32_t *>(t.rows);
    for (int64_t k = 0; k < (t.count + 1) / 2; ++k, x += rows_pairs, w += panel) {
        const auto w0 = (__m512bh)_mm512_loadu_si512(w);
        const auto w1 = (__m512bh)_mm512_loadu_si512(w + 16);
        each<Rows>([&](auto r) {
            const auto v = (__m512bh)_mm512_set1_epi32(x[r]);
            s.low[r] = (Vec)_mm512_dpbf16_ps((__m512)s.low[r], w0, v);
            s.high[r] = (Vec)_mm512_dpbf16_ps((__m512)s.high[r], w1, v);
        });
    }
    store(t.sums, t.sums_stride, s);
}
#endif

static bool multiplies(Arithmetic a, int bits) {
    const bool pairs = a == Arithmetic::bf16 || a == Arithmetic::bf16_split;
    if (has_amx)
        return pairs || a == Arithmetic::int8_run;
    if (a == Arithmetic::int16_both)
        return has_vnni;
    return !pairs && multiplies_int8(bytes(a), bits);
}

static void tile(Arithmetic a, const GemmTile & t, int rows) {
#if defined(__AMX_BF16__)
    if (a == Arithmetic::bf16 || a == Arithmetic::bf16_split)
        return tile_amx(planes(a), t, rows);
#elif defined(__AVX512BF16__)
    if (a == Arithmetic::bf16)
        return with_count<rows_pairs>(rows, [&](auto r) { tile_bf16<r>(t); });
#endif
#if defined(__AMX_INT8__)
    if (a == Arithmetic::int8_run)
        return tile_run_amx(t, rows);
#endif
#if defined(__AVX512VNNI__)
    if (a == Arithmetic::int4)
        return tile_int4(t, rows);
#endif
    if (a == Arithmetic::f32)
        return with_count<rows_f32>(rows, [&](auto r) { tile_f32<r>(t); });
    tile_int8(a, t, rows);
}

#if defined(__AMX_BF16__)
constexpr auto begin = begin_tiles, end = end_tiles;
#else
constexpr void (*begin)() = nullptr, (*end)() = nullptr;
#endif

extern constexpr Gemm gemm_kernels = {
    panel,
    {rows_f32, rows_bf16, rows_split, rows_int8, rows_int8, rows_int8, rows_run, rows_int8},
    rows_bytes,
    prepare,
    to_bf16,
    scaled,
    dot_scaled,
    to_int8,
    to_int16,
    transpose,
    adapt,
    tile,
    begin,
    end,
    multiplies,
    decoder,
    coded_values,
    coded_bytes,
    coded_bits,
    coded_minimum,
    unpacker,
};

} // namespace ltx2::kernels::LTX2_VARIANT
