#include "audio/resample.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>

namespace ltx2 {

namespace {
// The filter of outputs that lie equally between two inputs; outputs have few such phases.
struct Phase {
    int64_t first; // input of its first tap, from the one before the output on
    std::vector<double> taps;
};
} // namespace

// Of output p of every `to`, whose place is p * from / to.
static Phase phase_of(int64_t p, int64_t from, int64_t to) {
    const double pi = std::acos(-1.0), zeros = 6;
    const double band = 0.99 * static_cast<double>(std::min(from, to)) / static_cast<double>(from);
    const double place = static_cast<double>(p * from) / static_cast<double>(to);
    Phase phase{static_cast<int64_t>(std::ceil(place - zeros / band)), {}};
    for (int64_t i = phase.first; static_cast<double>(i) <= place + zeros / band; ++i) {
        const double t = (static_cast<double>(i) - place) * band;
        const double sinc = t == 0 ? 1 : std::sin(pi * t) / (pi * t);
        const double window = std::cos(pi * t / (2 * zeros));
        phase.taps.push_back(sinc * window * window * band);
    }
    return phase;
}

std::vector<float> resample(const std::vector<float> & samples, int from, int to, Outside outside) {
    if (from == to || samples.empty())
        return samples;
    const int64_t common = std::gcd(from, to), step = from / common, phases = to / common;
    const int64_t positions = static_cast<int64_t>(samples.size() / 2);
    const int64_t outputs = (positions * phases + step - 1) / step;
    std::vector<float> out(static_cast<size_t>(2 * outputs));
    for (int64_t p = 0; p < std::min(phases, outputs); ++p) {
        const Phase phase = phase_of(p, step, phases);
        const int64_t taps = static_cast<int64_t>(phase.taps.size());
        int64_t first = phase.first;
        for (int64_t o = p; o < outputs; o += phases, first += step) {
            double sums[2] = {};
            for (int64_t i = 0; i < taps; ++i) {
                const int64_t at = std::clamp<int64_t>(first + i, 0, positions - 1);
                if (at != first + i && outside == Outside::zeros)
                    continue;
                for (int64_t c = 0; c < 2; ++c)
                    sums[c] += phase.taps[static_cast<size_t>(i)] *
                               samples[static_cast<size_t>(2 * at + c)];
            }
            for (int64_t c = 0; c < 2; ++c)
                out[static_cast<size_t>(2 * o + c)] = static_cast<float>(sums[c]);
        }
    }
    return out;
}

} // namespace ltx2
