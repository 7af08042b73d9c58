// Weights of 16 outputs at a time become a panel: what lies side by side in a row is loaded,
// transposed in registers, and becomes units where one lane is one output. Other types, and other
// instruction sets, decode row by row into memory and transpose that.
#include "kernels/variants/gemm_parts.h"

#include "ggml.h"

namespace ltx2::kernels::LTX2_VARIANT {

#if defined(__AVX512F__)

namespace {
using Rows = const uint8_t * const *;
}

// ---- row by row: load(row, first of its values, mask of those) gives 16 units

template <class Load>
static inline void unpack_rows(Rows rows, int64_t values, int64_t first, int64_t count,
                               uint32_t * units, Load load) {
    for (int64_t k = 0; k < count; k += values, units += 16 * panel) {
        const int64_t some = count - k < values ? count - k : values;
        const uint64_t mask = ~uint64_t{0} >> (64 - some);
        for (int n = 0; n < panel; n += 16) {
            __m512i v[16];
            each<16>([&](auto i) { v[i] = load(rows[n + i], first + k, mask); });
            transpose_16(
                v, [&](int i, __m512i row) { _mm512_storeu_si512(units + i * panel + n, row); });
        }
    }
}

static void f32_as_f32(Rows rows, int64_t first, int64_t count, uint32_t * units, float *) {
    unpack_rows(rows, 16, first, count, units, [](const uint8_t * row, int64_t k, uint64_t mask) {
        return _mm512_maskz_loadu_epi32(static_cast<__mmask16>(mask), row + 4 * k);
    });
}

static void f16_as_f32(Rows rows, int64_t first, int64_t count, uint32_t * units, float *) {
    unpack_rows(rows, 16, first, count, units, [](const uint8_t * row, int64_t k, uint64_t mask) {
        return _mm512_castps_si512(
            _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(static_cast<__mmask16>(mask), row + 2 * k)));
    });
}

// 32 values of a row: at(row, first of them, mask)
namespace {
struct Values {
    __m512 low, high;
};
struct OfF16 {
    static inline Values at(const uint8_t * row, int64_t k, uint64_t mask) {
        const __m512i v = _mm512_maskz_loadu_epi16(static_cast<__mmask32>(mask), row + 2 * k);
        return {_mm512_cvtph_ps(_mm512_castsi512_si256(v)),
                _mm512_cvtph_ps(_mm512_extracti64x4_epi64(v, 1))};
    }
};
struct OfBf16 {
    static inline Values at(const uint8_t * row, int64_t k, uint64_t mask) {
        const __m512i v = _mm512_maskz_loadu_epi16(static_cast<__mmask32>(mask), row + 2 * k);
        const auto as_f32 = [](__m256i halves) {
            return (__m512)_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16);
        };
        return {as_f32(_mm512_castsi512_si256(v)), as_f32(_mm512_extracti64x4_epi64(v, 1))};
    }
};
} // namespace

#if defined(__AVX512BF16__)

static inline __m512 scale_of(const uint8_t * block) {
    uint16_t half;
    std::memcpy(&half, block, sizeof half);
    return _mm512_set1_ps(_cvtsh_ss(half));
}
static inline __m512 times(__m512 scale, __m128i bytes) {
    return _mm512_mul_ps(scale, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes)));
}
namespace {
struct OfQ8 {
    static inline Values at(const uint8_t * row, int64_t k, uint64_t) {
        const uint8_t * block = row + k / 32 * 34;
        const __m512 scale = scale_of(block);
        return {times(scale, (__m128i)bytes_at(block + 2)),
                times(scale, (__m128i)bytes_at(block + 18))};
    }
};
struct OfQ4 {
    static inline Values at(const uint8_t * row, int64_t k, uint64_t) {
        const uint8_t * block = row + k / 32 * 18;
        const __m512 scale = scale_of(block);
        const Bytes v = bytes_at(block + 2);
        return {times(scale, (__m128i)((v & 15) - 8)), times(scale, (__m128i)((v >> 4) - 8))};
    }
};
} // namespace

// As pairs of BF16, or of what these leave.
template <class Of, bool Rest>
static inline void as_pairs(Rows rows, int64_t first, int64_t count, uint32_t * units) {
    unpack_rows(rows, 32, first, count, units, [](const uint8_t * row, int64_t k, uint64_t mask) {
        if (std::is_same_v<Of, OfBf16> && !Rest) // as they are
            return _mm512_maskz_loadu_epi16(static_cast<__mmask32>(mask), row + 2 * k);
        const Values v = Of::at(row, k, mask);
        const Split s = split(v.low, v.high);
        return Rest ? s.low : s.high;
    });
}

// So, or both, the rest after all of the pairs.
template <class Of, bool AndRest>
static void as_bf16(Rows rows, int64_t first, int64_t count, uint32_t * units, float *) {
    as_pairs<Of, false>(rows, first, count, units);
    if (AndRest)
        as_pairs<Of, true>(rows, first, count, units + (count + 1) / 2 * panel);
}

template <bool AndRest>
static UnpackFn to_bf16(int ggml_type) {
    return ggml_type == GGML_TYPE_F16    ? as_bf16<OfF16, AndRest>
           : ggml_type == GGML_TYPE_BF16 ? as_bf16<OfBf16, AndRest>
           : ggml_type == GGML_TYPE_Q8_0 ? as_bf16<OfQ8, AndRest>
           : ggml_type == GGML_TYPE_Q4_0 ? as_bf16<OfQ4, AndRest>
                                         : nullptr;
}
#endif

#endif

#if defined(__AVX512VNNI__)

// ---- blocks of 32

// The F16 of 16 rows, `offset` bytes into them.
static inline __m512 halves_of(Rows rows, int64_t offset) {
    uint16_t halves[16];
    each<16>([&](auto i) { std::memcpy(&halves[i], rows[i] + offset, sizeof halves[i]); });
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(halves)));
}

// Codes of rows, whose scales `finish` knows.
static void bytes(Rows rows, int64_t first, int64_t count, uint32_t * units, float *) {
    const __m512i offset = _mm512_set1_epi8(static_cast<char>(int8_offset));
    unpack_rows(rows, 64, first, count, units, [&](const uint8_t * row, int64_t k, uint64_t mask) {
        return _mm512_xor_si512(offset, _mm512_maskz_loadu_epi8(mask, row + k));
    });
}

// d, 32 bytes; two blocks at a time
static void q8_0(Rows rows, int64_t first, int64_t count, uint32_t * units, float * scales) {
    const __m512i offset = _mm512_set1_epi8(static_cast<char>(int8_offset));
    const auto half = [](const uint8_t * p) {
        return _mm256_loadu_si256(reinterpret_cast<const __m256i *>(p));
    };
    for (int64_t b = 0; b < count / 32; b += 2, units += 16 * panel, scales += 2 * panel) {
        const int64_t at = (first / 32 + b) * 34, next = b + 1 < count / 32 ? at + 34 : at;
        for (int n = 0; n < panel; n += 16) {
            __m512i v[16];
            each<16>([&](auto i) {
                const uint8_t * row = rows[n + i] + 2;
                v[i] = _mm512_xor_si512(offset,
                                        _mm512_inserti64x4(_mm512_castsi256_si512(half(row + at)),
                                                           half(row + next), 1));
            });
            transpose_16(
                v, [&](int i, __m512i row) { _mm512_storeu_si512(units + i * panel + n, row); });
            _mm512_storeu_ps(scales + n, halves_of(rows + n, at));
            _mm512_storeu_ps(scales + panel + n, halves_of(rows + n, next));
        }
    }
}

// Values of 4 bits of 16 rows, of the four blocks from `block` on, of which there are `some`:
// as_bytes(q, b) makes units of block b's values in the lower halves of q's bytes, for 16 outputs.
template <class AsBytes>
static inline void unpack_nibbles(Rows rows, int64_t block, int64_t some, uint32_t * units,
                                  const AsBytes & as_bytes) {
    __m512i v[16];
    each<16>([&](auto i) {
        const uint8_t * row = rows[i] + block * 18 + 2;
        const auto at = [&](int64_t b) {
            return _mm_loadu_si128(
                reinterpret_cast<const __m128i *>(row + (b < some ? b : 0) * 18));
        };
        v[i] = _mm512_inserti32x4(_mm512_castsi128_si512(at(0)), at(1), 1);
        v[i] = _mm512_inserti32x4(v[i], at(2), 2);
        v[i] = _mm512_inserti32x4(v[i], at(3), 3);
    });
    __m512i columns[16];
    transpose_16(v, [&](int i, __m512i row) { columns[i] = row; });
    each<16>([&](auto i) {
        uint32_t * to = units + (i / 4 * 8 + i % 4) * panel;
        _mm512_storeu_si512(to, as_bytes(columns[i], i / 4));
        _mm512_storeu_si512(to + 4 * panel, as_bytes(_mm512_srli_epi16(columns[i], 4), i / 4));
    });
}

static void q4_0(Rows rows, int64_t first, int64_t count, uint32_t * units, float * scales) {
    const __m512i low = _mm512_set1_epi8(15), zero = _mm512_set1_epi8(int8_offset - 8);
    const int64_t blocks = count / 32;
    for (int64_t b = 0; b < blocks; b += 4, units += 32 * panel, scales += 4 * panel) {
        const int64_t block = first / 32 + b, some = blocks - b < 4 ? blocks - b : 4;
        for (int n = 0; n < panel; n += 16) {
            unpack_nibbles(rows + n, block, some, units + n, [&](__m512i q, int) {
                return _mm512_add_epi8(_mm512_and_si512(q, low), zero);
            });
            for (int64_t i = 0; i < some; ++i)
                _mm512_storeu_ps(scales + i * panel + n, halves_of(rows + n, (block + i) * 18));
        }
    }
}

// ---- 16 bits, one scale for four blocks

// Pairs of 32 values times `inverse`, rounded.
static inline __m512i pairs_of(const Values & v, __m512 inverse) {
    const __m512i low = _mm512_cvtps_epi32(_mm512_mul_ps(v.low, inverse));
    const __m512i high = _mm512_cvtps_epi32(_mm512_mul_ps(v.high, inverse));
    return _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi32_epi16(low)),
                              _mm512_cvtepi32_epi16(high), 1);
}

// The four blocks of 16 rows, where `masks` say which are there.
template <class Of>
static inline void int16_of(Rows rows, int64_t first, const uint64_t (&masks)[4], uint32_t * units,
                            float * scales) {
    __m512i most[16], squares[16];
    each<16>([&](auto i) {
        IVec m = {};
        Vec s = {};
        each<4>([&](auto b) {
            const Values v = Of::at(rows[i], first + 32 * b, masks[b]);
            m = max(m, max(magnitude((Vec)v.low), magnitude((Vec)v.high)));
            s += (Vec)v.low * (Vec)v.low + (Vec)v.high * (Vec)v.high;
        });
        most[i] = (__m512i)m;
        squares[i] = (__m512i)s;
    });
    IVec m = {};
    Vec s = {}, scale;
    transpose_16(most, [&](int, __m512i row) { m = max(m, (IVec)row); });
    transpose_16(squares, [&](int, __m512i row) { s += (Vec)row; });
    float inverse[16];
    store(inverse, inverse_int16((Vec)m, s, scale));
    store(scales, scale);
    each<4>([&](auto b) {
        if (!masks[b])
            return;
        __m512i v[16];
        each<16>([&](auto i) {
            v[i] = pairs_of(Of::at(rows[i], first + 32 * b, masks[b]), _mm512_set1_ps(inverse[i]));
        });
        transpose_16(
            v, [&](int i, __m512i row) { _mm512_storeu_si512(units + (16 * b + i) * panel, row); });
    });
}

template <class Of>
static void as_int16(Rows rows, int64_t first, int64_t count, uint32_t * units, float * scales) {
    constexpr int64_t run = 32 * both_blocks;
    for (int64_t k = 0; k < count; k += run, units += run / 2 * panel, scales += panel) {
        uint64_t masks[4];
        each<4>([&](auto b) { masks[b] = k + 32 * b < count ? ~uint64_t{0} : 0; });
        for (int n = 0; n < panel; n += 16)
            int16_of<Of>(rows + n, first + k, masks, units + n, scales + n);
    }
}

// ---- 4 bits as 8, one scale for four blocks

namespace {
// As 16 bits, of which the upper eight are the value, 128 added: q * factor + offset, the same in
// both halves of a lane.
struct Fixed {
    __m512i factor[4], offset[4];
};
} // namespace

static inline __m512i twice(__m512 x) {
    const __m512i whole = _mm512_cvtps_epi32(x);
    return _mm512_mask_blend_epi16(0xaaaaaaaa, whole, _mm512_slli_epi32(whole, 16));
}

// For four blocks with the scales `d`; their common scale goes to `scale`. The block with the
// largest scale has 15 steps per value, so that its values stay exact.
static inline Fixed fixed(const __m512 (&d)[4], float * scale) {
    IVec magnitudes = {};
    each<4>([&](auto b) { magnitudes = max(magnitudes, magnitude((Vec)d[b])); });
    const __m512 most = (__m512)magnitudes;
    _mm512_storeu_ps(scale, _mm512_mul_ps(most, _mm512_set1_ps(1.0f / 15)));
    const __m512 inverse = _mm512_maskz_div_ps(
        _mm512_cmp_ps_mask(most, _mm512_setzero_ps(), _CMP_GT_OQ), _mm512_set1_ps(15 * 256), most);
    Fixed out;
    each<4>([&](auto b) {
        const __m512 factor = _mm512_mul_ps(d[b], inverse);
        out.factor[b] = twice(factor);
        out.offset[b] =
            twice(_mm512_fmadd_ps(factor, _mm512_set1_ps(-8), _mm512_set1_ps(128 * 256 + 128)));
    });
    return out;
}

// Four values of 16 outputs, in the lower halves of their bytes.
static inline __m512i as_8_bits(__m512i q, __m512i factor, __m512i offset) {
    const __m512i low = _mm512_set1_epi16(15);
    const auto at_16 = [&](__m512i v) {
        return _mm512_add_epi16(_mm512_mullo_epi16(_mm512_and_si512(v, low), factor), offset);
    };
    const __m512i even = _mm512_srli_epi16(at_16(q), 8);
    return _mm512_mask_blend_epi8(0xaaaaaaaaaaaaaaaa, even, at_16(_mm512_srli_epi16(q, 8)));
}

static void q4_0_to_8(Rows rows, int64_t first, int64_t count, uint32_t * units, float * scales) {
    const int64_t blocks = count / 32;
    for (int64_t b = 0; b < blocks; b += 4, units += 32 * panel, scales += panel) {
        const int64_t block = first / 32 + b, some = blocks - b < 4 ? blocks - b : 4;
        for (int n = 0; n < panel; n += 16) {
            __m512 d[4];
            each<4>([&](auto i) {
                d[i] = i < some ? halves_of(rows + n, (block + i) * 18) : _mm512_setzero_ps();
            });
            const Fixed f = fixed(d, scales + n);
            unpack_nibbles(rows + n, block, some, units + n, [&](__m512i q, int b) {
                return as_8_bits(q, f.factor[b], f.offset[b]);
            });
        }
    }
}

#endif

UnpackFn unpacker([[maybe_unused]] Arithmetic arithmetic, [[maybe_unused]] int ggml_type) {
#if defined(__AVX512F__)
    if (arithmetic == Arithmetic::f32)
        return ggml_type == GGML_TYPE_F32   ? f32_as_f32
               : ggml_type == GGML_TYPE_F16 ? f16_as_f32
                                            : nullptr;
#endif
#if defined(__AVX512BF16__)
    if (arithmetic == Arithmetic::bf16)
        return to_bf16<false>(ggml_type);
    if (arithmetic == Arithmetic::bf16_split)
        return to_bf16<true>(ggml_type);
#endif
#if defined(__AVX512VNNI__)
    if (arithmetic == Arithmetic::int8_run)
        return ggml_type == GGML_TYPE_I8 ? bytes : nullptr;
    if (arithmetic == Arithmetic::int4)
        return ggml_type == GGML_TYPE_Q4_0 ? q4_0_to_8 : nullptr;
    if (arithmetic == Arithmetic::int16_both)
        return ggml_type == GGML_TYPE_F16    ? as_int16<OfF16>
               : ggml_type == GGML_TYPE_BF16 ? as_int16<OfBf16>
                                             : nullptr;
    if (arithmetic == Arithmetic::int8 || arithmetic == Arithmetic::int16)
        return ggml_type == GGML_TYPE_Q8_0 ? q8_0 : ggml_type == GGML_TYPE_Q4_0 ? q4_0 : nullptr;
#endif
    return nullptr;
}

} // namespace ltx2::kernels::LTX2_VARIANT
