// What this machine's multipliers can do at best, at this moment. Compiled for this machine alone.
#include "bench.h"
#include "kernels/variant.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <iterator>
#include <numeric>
#include <thread>
#ifdef __AVX512F__
#include <immintrin.h>
#endif

namespace ltx2 {

// About half a second on each of `threads`; `loop` gives a sum, so that it is not left out.
template <class Loop>
static double rate(int threads, double operations, Loop loop) {
    std::vector<std::thread> pool;
    std::vector<float> sums(static_cast<size_t>(threads));
    Clock clock;
    for (float & sum : sums)
        pool.emplace_back([&sum, loop] { sum = loop(); });
    for (std::thread & thread : pool)
        thread.join();
    const double seconds = clock.lap();
    return std::isnan(sums[0]) ? 0 : operations * threads / seconds / 1e9;
}

static constexpr int64_t rounds = 20000000, chains = 12;

// So that no loop's result is left out.
template <class Number, class Vector>
[[maybe_unused]] static float sum_of(const Vector (&vectors)[chains]) {
    Number numbers[chains * (sizeof(Vector) / sizeof(Number))];
    std::memcpy(numbers, vectors, sizeof(vectors));
    return static_cast<float>(std::accumulate(std::begin(numbers), std::end(numbers), Number(0)));
}

#ifdef __AVX512F__
static constexpr int lanes = 192; // 12 accumulators
static float f32_loop() {
    const __m512 x = _mm512_set1_ps(0.999999f), y = _mm512_set1_ps(1e-7f);
    __m512 sums[chains];
    for (__m512 & sum : sums)
        sum = _mm512_setzero_ps();
    for (int64_t r = 0; r < rounds; ++r)
        for (__m512 & sum : sums)
            sum = _mm512_fmadd_ps(sum, x, y);
    return sum_of<float>(sums);
}
#else
static constexpr int lanes = 96; // 12 AVX accumulators: of 16 registers
static float f32_loop() {
    alignas(64) float a[lanes];
    for (int i = 0; i < lanes; ++i)
        a[i] = 1.0f + 1e-6f * static_cast<float>(i);
    for (int64_t r = 0; r < rounds; r += 64) {
        float b[lanes]; // a copy that the compiler keeps in registers
        std::copy(a, a + lanes, b);
        for (int k = 0; k < 64; ++k)
            for (int i = 0; i < lanes; ++i)
                b[i] = std::fma(b[i], 0.999999f, 1e-7f);
        std::copy(b, b + lanes, a);
    }
    float sum = 0;
    for (float v : a)
        sum += v;
    return sum;
}
#endif

#if defined(__AMX_BF16__) && defined(__linux__)
// Tiles of 16 x 16 sums, four of them, as the tile registers have room for.
static float amx_loop() {
    struct alignas(64) {
        uint8_t palette = 1, unused[15] = {};
        uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
        uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    } const config;
    float sums[256] = {};
    _tile_loadconfig(&config);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_zero(4);
    _tile_zero(5);
    _tile_zero(6);
    _tile_zero(7);
    for (int64_t r = 0; r < rounds; r += 16) {
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, sums, 64);
    _tile_release();
    return sums[0];
}
#endif
#ifdef __AVX512BF16__
static float bf16_loop() {
    const __m512bh x = (__m512bh)_mm512_set1_epi32(0x3c003c00);
    __m512 sums[chains];
    for (__m512 & sum : sums)
        sum = _mm512_setzero_ps();
    for (int64_t r = 0; r < rounds; ++r)
        for (__m512 & sum : sums)
            sum = _mm512_dpbf16_ps(sum, x, x);
    return sum_of<float>(sums);
}
#endif

#ifdef __AVX512VNNI__
static float int8_loop() {
    const __m512i x = _mm512_set1_epi32(0x01010101);
    __m512i sums[chains];
    for (__m512i & sum : sums)
        sum = _mm512_setzero_si512();
    for (int64_t r = 0; r < rounds; ++r)
        for (__m512i & sum : sums)
            sum = _mm512_dpbusd_epi32(sum, x, x);
    return sum_of<int>(sums);
}
#endif

// Far more than the caches hold; each thread reads a part of it.
static double memory_rate(int threads) {
    constexpr size_t all = size_t{64} << 20; // numbers of 8 bytes
    static const std::vector<uint64_t> numbers(all, 1);
    std::atomic<size_t> next{0};
    const size_t part = all / static_cast<size_t>(threads);
    return rate(threads, 8.0 * static_cast<double>(part), [&next, part] {
        const uint64_t * from = numbers.data() + next.fetch_add(part);
        uint64_t sums[16] = {};
        for (size_t i = 0; i + 16 <= part; i += 16)
            for (size_t j = 0; j < 16; ++j)
                sums[j] += from[i + j];
        return static_cast<float>(std::accumulate(std::begin(sums), std::end(sums), uint64_t{0}));
    });
}

Peaks peaks(int threads) {
    // It asks the system for tiles.
    [[maybe_unused]] const bool has_amx = kernels::choose_variant("amx");
    Peaks p{rate(threads, 2.0 * rounds * lanes, f32_loop), 0, 0, memory_rate(threads)};
    [[maybe_unused]] const double vectors = 2.0 * rounds * chains;
#ifdef __AVX512BF16__
    p.bf16 = rate(threads, vectors * 32, bf16_loop);
#endif
#if defined(__AMX_BF16__) && defined(__linux__)
    if (has_amx)
        p.bf16 = rate(threads, 2.0 * rounds / 16 * 4 * 16 * 16 * 32, amx_loop);
#endif
#ifdef __AVX512VNNI__
    p.int8 = rate(threads, vectors * 64, int8_loop);
#endif
    return p;
}

} // namespace ltx2
