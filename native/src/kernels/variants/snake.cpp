#include "kernels/snake.h"

#include "kernels/simd.h"

namespace ltx2::kernels::LTX2_VARIANT {

static_assert(lanes <= 16, "snake_room has vectors of 16 values at most");

// sin(x)^2, absolute error below 2e-7 for |x| < 10000: x less a multiple of pi, in three parts so
// that products are exact, then a polynomial (5e-9). Between bounds for any other x.
static inline Vec sin_squared(Vec x) {
    const Vec n = rounded(x * 0.318309886f);
    Vec r = ((x - n * 3.140625f) - n * 9.67502593994140625e-4f) - n * 1.509957990978376432e-7f;
    r = max(splat(-1.6f), min(splat(1.6f), r));
    const Vec z = r * r;
    const Vec p = (-1.6666657021e-1f + 8.3330154170e-3f * z) +
                  (-1.9806478916e-4f + 2.5997516895e-6f * z) * (z * z);
    const Vec s = r + r * z * p;
    return s * s;
}

static inline int64_t within(int64_t i, int64_t count) {
    return i < 0 ? 0 : i < count ? i : count - 1;
}

// One vector of channels, `n` of them.
static void column(const SnakeBlock & b, int channel, int n) {
    const int64_t last = b.first + b.count - 1;
    const int64_t from = within(b.first - 3, b.positions), to = within(last + 3, b.positions);
    const float * x = b.x + channel;
    const auto at = [&](int64_t t) { return read(x + within(t, b.positions) * b.stride, n); };
    const Vec frequency = read(b.frequency + channel, n), amount = read(b.amount + channel, n);
    const auto snake = [&](Vec v) { return v + amount * sin_squared(v * frequency); };
    // Without the zeros between values, an output of twice the rate sees every other tap.
    Vec seen[7]; // around position t: t - 3 to t + 3
    for (int i = 0; i < 6; ++i)
        seen[i + 1] = at(from - 3 + i);
    float * room = b.room;
    for (int64_t t = from; t <= to; ++t, room += 2 * lanes) {
        for (int i = 0; i < 6; ++i)
            seen[i] = seen[i + 1];
        seen[6] = at(t + 3);
        Vec even = {}, odd = {};
        for (int i = 0; i < 6; ++i) {
            even += b.up[11 - 2 * i] * seen[i];
            odd += b.up[10 - 2 * i] * seen[i + 1];
        }
        store(room, snake(2.0f * even));
        store(room + lanes, snake(2.0f * odd));
    }
    for (int64_t t = b.first; t <= last; ++t) {
        const int64_t begin = 2 * t - 5, end = begin + snake_taps;
        Vec sum = {};
        if (begin >= 0 && end <= 2 * b.positions)
            for (int k = 0; k < snake_taps; ++k)
                sum += b.down[k] * load(b.room + (begin + k - 2 * from) * lanes);
        else
            for (int k = 0; k < snake_taps; ++k)
                sum += b.down[k] *
                       load(b.room + (within(begin + k, 2 * b.positions) - 2 * from) * lanes);
        write(b.out + t * b.stride + channel, sum, n);
    }
}

static void snake(const SnakeBlock & block) {
    for (int c = 0; c < block.channels; c += lanes)
        column(block, c, block.channels - c < lanes ? block.channels - c : lanes);
}

extern constexpr Snake snake_kernel = snake;

} // namespace ltx2::kernels::LTX2_VARIANT
