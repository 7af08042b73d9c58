// The inner kernel of conv3d: some positions of a row times one panel of output channels, all sums
// in registers. Written once for every instruction set, with the compiler's own vectors.
#pragma once

#include <cstdint>
#include <cstring>
#include <utility>

namespace ltx2::kernels {

#if defined(__AVX512F__)
constexpr int lanes = 16, most_rows = 12;
#elif defined(__AVX__)
constexpr int lanes = 8, most_rows = 6;
#elif defined(__aarch64__)
constexpr int lanes = 4, most_rows = 12;
#else
constexpr int lanes = 4, most_rows = 6;
#endif
constexpr int panel = 2 * lanes; // output channels

#if defined(__GNUC__)
typedef float Vec __attribute__((vector_size(lanes * sizeof(float))));
inline Vec splat(float x) { return x - Vec{}; }
#else
struct Vec {
    float v[lanes];
};
inline Vec splat(float x) {
    Vec r;
    for (float & v : r.v)
        v = x;
    return r;
}
inline Vec operator*(Vec a, Vec b) {
    for (int i = 0; i < lanes; ++i)
        a.v[i] *= b.v[i];
    return a;
}
inline Vec & operator+=(Vec & a, Vec b) {
    for (int i = 0; i < lanes; ++i)
        a.v[i] += b.v[i];
    return a;
}
#endif
inline Vec load(const float * p) {
    Vec v;
    std::memcpy(&v, p, sizeof v);
    return v;
}
inline void store(float * p, Vec v) { std::memcpy(p, &v, sizeof v); }

// One block of input channels. `rows`: `lines` planes (of one frame and row each) of [channels][ld]
// positions; weights [lines][channels][taps][panel]; sums [positions][panel], read and written.
struct TileInput {
    const float * const * rows;
    int lines;
    int64_t channels, ld;
    const float * weights;
};

// Indices unrolled by the type, since a loop the compiler does not unroll leaves the registers.
template <int Stride, int Taps, size_t... M>
void tile(const TileInput & in, float * sums, std::index_sequence<M...>) {
    Vec low[sizeof...(M)], high[sizeof...(M)];
    ((low[M] = load(sums + M * panel), high[M] = load(sums + M * panel + lanes)), ...);
    const float * w = in.weights;
    for (int line = 0; line < in.lines; ++line) {
        const float * x = in.rows[line];
        for (int64_t c = 0; c < in.channels; ++c, x += in.ld) {
            for (int tap = 0; tap < Taps; ++tap, w += panel) {
                const Vec w0 = load(w), w1 = load(w + lanes);
                const auto one = [&](Vec & l, Vec & h, float value) {
                    const Vec v = splat(value);
                    l += v * w0;
                    h += v * w1;
                };
                (one(low[M], high[M], x[M * Stride + static_cast<size_t>(tap)]), ...);
            }
        }
    }
    ((store(sums + M * panel, low[M]), store(sums + M * panel + lanes, high[M])), ...);
}

using TileFn = void (*)(const TileInput &, float *);
template <int Stride, int Taps, int Rows>
void tile_of(const TileInput & in, float * sums) {
    tile<Stride, Taps>(in, sums, std::make_index_sequence<Rows>());
}
template <int Stride, int Taps>
TileFn tile_for(int rows) {
    switch (rows) {
    case 12:
        return tile_of<Stride, Taps, 12>;
    case 8:
        return tile_of<Stride, Taps, 8>;
    case 6:
        return tile_of<Stride, Taps, 6>;
    default:
        return tile_of<Stride, Taps, 4>;
    }
}
inline TileFn tile_for(int stride, int taps, int rows) {
    if (taps == 1)
        return stride == 1 ? tile_for<1, 1>(rows) : tile_for<2, 1>(rows);
    return stride == 1 ? tile_for<1, 3>(rows) : tile_for<2, 3>(rows);
}

} // namespace ltx2::kernels
