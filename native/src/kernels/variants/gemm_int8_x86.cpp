// Matrix products of 8-bit values on x86: runs of blocks are summed exactly as integers, then
// scaled.
#if defined(__AVX2__)

#include "kernels/variants/gemm_parts.h"

namespace ltx2::kernels::LTX2_VARIANT {

#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)

template <int Bytes, int Rows>
static inline __attribute__((always_inline)) void
sum_run(const Int8Block<Bytes> * x, int64_t blocks, const uint32_t * w, RunSums<Rows> & out) {
    each<Rows>([&](auto r) __attribute__((always_inline)) {
        out.low[r] = out.high[r] = (Bytes == 1 ? x->begin[r] : 0) - IVec{};
    });
    for (int64_t b = 0; b < blocks; ++b, ++x, w += 8 * Bytes * panel)
        each<8 * Bytes>([&](auto q) __attribute__((always_inline)) {
            const IVec w0 = load_units(w + q * panel), w1 = load_units(w + q * panel + lanes);
            each<Rows>([&](auto r) __attribute__((always_inline)) {
                const IVec v = splat_unit(x->units[q / 8][q % 8][r]);
                out.low[r] = dot<Bytes>(out.low[r], w0, v);
                out.high[r] = dot<Bytes>(out.high[r], w1, v);
            });
        });
}

bool multiplies_int8(int, int) { return true; }

#else

typedef int16_t Halves __attribute__((vector_size(sizeof(Vec))));

// Products of bytes, w unsigned, and of 16-bit values, summed in pairs.
#if defined(__AVX512F__)
static inline Halves products(IVec w, IVec x) {
    return (Halves)_mm512_maddubs_epi16((__m512i)w, (__m512i)x);
}
static inline IVec products(Halves w, Halves x) {
    return (IVec)_mm512_madd_epi16((__m512i)w, (__m512i)x);
}
#else
static inline Halves products(IVec w, IVec x) {
    return (Halves)_mm256_maddubs_epi16((__m256i)w, (__m256i)x);
}
static inline IVec products(Halves w, Halves x) {
    return (IVec)_mm256_madd_epi16((__m256i)w, (__m256i)x);
}
#endif

// The compiler must not reorder such sums: it would compute all products first.
template <class V>
static inline V plus(V sum, V x) {
    sum += x;
    asm("" : "+v"(sum));
    return sum;
}

// Unsigned weights of 4 or 5 bits: eight pairs of products, 8 * 2 * 15 * 127 at most, or four of
// them fit into 16 bits.
template <int Bits, int Rows>
static inline void sum_small(const Int8Block<1> * x, int64_t blocks, const uint32_t * w,
                             RunSums<Rows> & out) {
    constexpr int some = Bits == 4 ? 8 : 4;
    const Halves ones = Halves{} + 1;
    for (int64_t b = 0; b < blocks; ++b, ++x, w += 8 * panel) {
        Halves s0[Rows], s1[Rows];
        each<8>([&](auto q) {
            const IVec w0 = load_units(w + q * panel), w1 = load_units(w + q * panel + lanes);
            each<Rows>([&](auto r) {
                const IVec v = splat_unit(x->units[0][q][r]);
                const Halves p0 = products(w0, v), p1 = products(w1, v);
                s0[r] = q % some ? plus(s0[r], p0) : p0;
                s1[r] = q % some ? plus(s1[r], p1) : p1;
            });
            if (q % some == some - 1)
                each<Rows>([&](auto r) {
                    const IVec i0 = products(s0[r], ones), i1 = products(s1[r], ones);
                    const bool is_first = b == 0 && q == some - 1;
                    out.low[r] = is_first ? i0 : plus(out.low[r], i0);
                    out.high[r] = is_first ? i1 : plus(out.high[r], i1);
                });
        });
    }
}

#if !defined(__AVX512F__)

// Signed weights of 8 bits: their magnitude times the activations, which take their sign, so that a
// pair stays below 2^15.
template <int Rows>
static inline void sum_signed(const Int8Block<1> * x, int64_t blocks, const uint32_t * w,
                              IVec * out) {
    const Halves ones = Halves{} + 1;
    for (int64_t b = 0; b < blocks; ++b, ++x, w += 8 * panel)
        each<8>([&](auto q) {
            const IVec v = load_units(w + q * panel), most = (IVec)_mm256_abs_epi8((__m256i)v);
            each<Rows>([&](auto r) {
                const __m256i one = (__m256i)splat_unit(x->units[0][q][r]);
                const IVec sum =
                    products(products(most, (IVec)_mm256_sign_epi8(one, (__m256i)v)), ones);
                out[r] = b || q ? plus(out[r], sum) : sum;
            });
        });
}

// Activations of 16 bits. Here the sums do stay in registers, 1.2 times faster than by a call.
template <int Rows>
static inline __attribute__((always_inline)) void
sum_wide(const Int8Block<2> & x, const uint32_t * w, RunSums<Rows> & out) {
    each<16>([&](auto q) {
        const Halves w0 = (Halves)load_units(w + q * panel);
        const Halves w1 = (Halves)load_units(w + q * panel + lanes);
        each<Rows>([&](auto r) {
            const Halves v = (Halves)splat_unit(x.units[q / 8][q % 8][r]);
            const IVec p0 = products(w0, v), p1 = products(w1, v);
            out.low[r] = q == 0 ? p0 : plus(out.low[r], p0);
            out.high[r] = q == 0 ? p1 : plus(out.high[r], p1);
        });
    });
}

#endif

// Processors with AVX-512 but without VNNI have two ports for 512 bits: on them only small weights
// are faster than F32.
bool multiplies_int8(int bytes, int bits) { return lanes == 8 || (bytes == 1 && bits < 8); }

#endif

#if defined(__AVX512VNNI__)

template <int Bytes, int Rows, bool Minima, int Run>
static void tile_vnni(const GemmTile & t) {
    add_runs<Bytes, Rows, Minima, Run>(
        t, [](const auto * x, int64_t blocks, const uint32_t * w, RunSums<Rows> & out)
               __attribute__((always_inline)) { sum_run<Bytes>(x, blocks, w, out); });
}

// Weights of 4 bits as 8, with one scale for four blocks. A group's sums stay in registers; the
// tile's are in memory, where they are needed once per group.
template <int Rows>
static void tile_of_groups(const GemmTile & t) {
    const auto * x = reinterpret_cast<const Int8Block<1> *>(t.rows);
    const uint32_t * w = t.panel.units;
    const float * scales = t.panel.scales;
    for (int64_t first = 0; first < t.count; first += int4_group, scales += panel) {
        const int64_t end = first + int4_group < t.count ? first + int4_group : t.count;
        Sums<Rows> group = {};
        for (int64_t b = first; b < end; b += 32, ++x, w += 8 * panel) {
            RunSums<Rows> s;
            sum_run<1>(x, 1, w, s);
            each<Rows>([&](auto r) {
                group.low[r] += as_f32<1, 1>(s.low[r]) * x->scale[r];
                group.high[r] += as_f32<1, 1>(s.high[r]) * x->scale[r];
            });
        }
        const Vec d0 = load(scales), d1 = load(scales + lanes);
        each<Rows>([&](auto r) {
            float * sums = t.sums + r * t.sums_stride;
            store(sums, load(sums) + group.low[r] * d0);
            store(sums + lanes, load(sums + lanes) + group.high[r] * d1);
        });
    }
}

void tile_int4(const GemmTile & t, int rows) {
    with_count<rows_int8>(rows, [&](auto r) { tile_of_groups<r>(t); });
}

#else

// As add_runs. Sixteen registers hold the integers alone; the F32 sums of a tile are in memory.
template <int Bytes, int Rows, bool Minima, int Run, class F>
static inline __attribute__((always_inline)) void tile_of(const GemmTile & t, F sum_run) {
    alignas(64) float memory[Rows * panel];
    float * sums = memory;
    asm("" : "+r"(sums)); // else the compiler keeps it in registers, and spills the integers
    each<Rows>([&](auto r) {
        store(sums + r * panel, load(t.sums + r * t.sums_stride));
        store(sums + r * panel + lanes, load(t.sums + r * t.sums_stride + lanes));
    });
    const auto * x = reinterpret_cast<const Int8Block<Bytes> *>(t.rows);
    const uint32_t * w = t.panel.units;
    const float *scales = t.panel.scales, *minima = t.panel.minima;
    constexpr int units = 8 * Bytes;
    for (int64_t left = t.count / 32; left > 0;
         left -= Run, x += Run, w += Run * units * panel, scales += panel) {
        RunSums<Rows> s;
        sum_run(x, run_of<Run>(left), w, s);
        const Vec d0 = load(scales), d1 = load(scales + lanes);
        each<Rows>([&](auto r) {
            Vec low = load(sums + r * panel), high = load(sums + r * panel + lanes);
            low += as_f32<Bytes, Run>(s.low[r]) * (d0 * x->scale[r]);
            high += as_f32<Bytes, Run>(s.high[r]) * (d1 * x->scale[r]);
            if (Minima) {
                low += load(minima) * x->sum[r];
                high += load(minima + lanes) * x->sum[r];
            }
            store(sums + r * panel, low);
            store(sums + r * panel + lanes, high);
        });
        if (Minima)
            minima += panel;
    }
    each<Rows>([&](auto r) {
        store(t.sums + r * t.sums_stride, load(sums + r * panel));
        store(t.sums + r * t.sums_stride + lanes, load(sums + r * panel + lanes));
    });
}

#if defined(__AVXVNNI__)

template <int Bytes, int Rows, bool Minima, int Run>
static void tile_vnni(const GemmTile & t) {
    tile_of<Bytes, Rows, Minima, Run>(
        t, [](const auto * x, int64_t blocks, const uint32_t * w, RunSums<Rows> & out)
               __attribute__((always_inline)) { sum_run<Bytes>(x, blocks, w, out); });
}

#else

template <int Rows, int Bits, int Run>
static void tile_small(const GemmTile & t) {
    tile_of<1, Rows, true, Run>(
        t, [](const auto * x, int64_t blocks, const uint32_t * w, RunSums<Rows> & out)
               __attribute__((always_inline)) { sum_small<Bits>(x, blocks, w, out); });
}

#if !defined(__AVX512F__)

template <int Rows, int Run>
static void tile_signed(const GemmTile & t) {
    tile_of<1, Rows, false, Run>(
        t, [](const auto * x, int64_t blocks, const uint32_t * w, RunSums<Rows> & out)
               __attribute__((always_inline)) {
                   sum_signed<Rows>(x, blocks, w, out.low);
                   sum_signed<Rows>(x, blocks, w + lanes, out.high);
               });
}

template <int Rows, bool Minima>
static void tile_wide(const GemmTile & t) {
    tile_of<2, Rows, Minima, 1>(
        t, [](const auto * x, int64_t, const uint32_t * w, RunSums<Rows> & out)
               __attribute__((always_inline)) { sum_wide(*x, w, out); });
}

#endif

void tile_int8(Arithmetic a, const GemmTile & t, int rows) {
    const bool is_run = a == Arithmetic::int8_run;
    with_count<rows_int8>(rows, [&](auto r) {
#if !defined(__AVX512F__)
        if (a == Arithmetic::int16)
            return t.panel.minima ? tile_wide<r, true>(t) : tile_wide<r, false>(t);
        if (t.panel.bits == 8)
            return is_run ? tile_signed<r, run_blocks>(t) : tile_signed<r, 1>(t);
#endif
        if (t.panel.bits == 4)
            return is_run ? tile_small<r, 4, run_blocks>(t) : tile_small<r, 4, 1>(t);
        tile_small<r, 5, 1>(t);
    });
}

#endif

#endif

#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)

void tile_int8(Arithmetic a, const GemmTile & t, int rows) {
    with_shape(a, t, rows,
               [&](auto p, auto r, auto minima, auto run) { tile_vnni<p, r, minima, run>(t); });
}

#endif

} // namespace ltx2::kernels::LTX2_VARIANT

#endif
