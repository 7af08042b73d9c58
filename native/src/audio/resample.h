// A sound at another rate, by a sinc in a Hann window of six zeros on each side, which lets pass
// 0.99 of the lower rate's band.
#pragma once

#include <vector>

namespace ltx2 {

// Before the first and after the last sample.
enum class Outside { zeros, copies };

constexpr int most_rate = 768000;

// Samples [positions][2], ceil(positions * to / from) of them. Rates are 1 to most_rate.
std::vector<float> resample(const std::vector<float> & samples, int from, int to, Outside outside);

} // namespace ltx2
