// Compiled without contraction of a*b+c, so that every compiler rounds alike.
#include "sampling/noise.h"

#include <array>
#include <cmath>
#include <utility>

namespace ltx2 {

using Counter = std::array<uint32_t, 4>;

static Counter philox(Counter c, uint32_t key0, uint32_t key1) {
    for (int round = 0; round < 10; ++round) {
        const uint64_t a = uint64_t{0xD2511F53} * c[0], b = uint64_t{0xCD9E8D57} * c[2];
        c = {static_cast<uint32_t>(b >> 32) ^ c[1] ^ key0, static_cast<uint32_t>(b),
             static_cast<uint32_t>(a >> 32) ^ c[3] ^ key1, static_cast<uint32_t>(a)};
        key0 += 0x9E3779B9;
        key1 += 0xBB67AE85;
    }
    return c;
}

// ln x for 0 < x < 1: x = m 2^e with m in [sqrt(1/2), sqrt(2)), ln m = 2 artanh((m-1)/(m+1)).
static double natural_log(double x) {
    int e;
    double m = std::frexp(x, &e); // exact
    if (m < 0.70710678118654752) {
        m *= 2;
        --e;
    }
    const double s = (m - 1) / (m + 1), s2 = s * s;
    double sum = 0;
    for (int k = 21; k >= 1; k -= 2)
        sum = sum * s2 + 1.0 / k;
    return 2 * s * sum + e * 0.69314718055994531;
}

// Cosine and sine of 2 pi u, 0 <= u < 1: the quadrant is exact, then Taylor on [-pi/4, pi/4].
static std::pair<double, double> cosine_and_sine(double u) {
    const int quadrant = static_cast<int>(u * 4 + 0.5);
    const double x = (u - quadrant * 0.25) * 6.283185307179586, x2 = x * x;
    double c = 0, s = 0;
    for (int k = 8; k >= 0; --k) {
        c = 1 - x2 * c / ((2.0 * k + 1) * (2.0 * k + 2));
        s = 1 - x2 * s / ((2.0 * k + 2) * (2.0 * k + 3));
    }
    s *= x;
    const double sign = quadrant & 2 ? -1 : 1;
    return quadrant & 1 ? std::pair(-s * sign, c * sign) : std::pair(c * sign, s * sign);
}

std::vector<float> normal_noise(uint64_t seed, uint32_t stream, int64_t count) {
    return normal_noise(seed, stream, 0, count);
}

std::vector<float> normal_noise(uint64_t seed, uint32_t stream, int64_t first, int64_t count) {
    std::vector<float> out(static_cast<size_t>(count));
    for (int64_t i = 0; i < count; i += 4) {
        const uint64_t block = static_cast<uint64_t>(first + i) / 4;
        const Counter bits =
            philox({static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32), stream, 0},
                   static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32));
        for (int pair = 0; pair < 2; ++pair) {
            const double u = (bits[2 * pair] + 0.5) / 4294967296.0;
            const double radius = std::sqrt(-2 * natural_log(u));
            const auto [cosine, sine] = cosine_and_sine(bits[2 * pair + 1] / 4294967296.0);
            const int64_t at = i + 2 * pair;
            if (at < count)
                out[static_cast<size_t>(at)] = static_cast<float>(radius * cosine);
            if (at + 1 < count)
                out[static_cast<size_t>(at + 1)] = static_cast<float>(radius * sine);
        }
    }
    return out;
}

double even_noise(uint64_t seed, uint32_t stream, uint64_t index) {
    const Counter bits =
        philox({static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32), stream, 1},
               static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32));
    return bits[0] / 4294967296.0;
}

} // namespace ltx2
