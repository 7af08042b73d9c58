// Sigmas, guidance, the denoise loop. It knows a velocity function, not the DiT.
#pragma once

#include "base/progress.h"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace ltx2 {

// How a model wants to be sampled: its own defaults, or what the caller asked for.
struct Sampling {
    std::string schedule = "ltx2"; // "distilled", "ltx2", "linear_quadratic"
    int steps = 30;
    float guidance = 3, stg = 1, rescale = 0.7f;
    std::vector<int> stg_blocks = {28};

    bool uses_negative() const { return guidance != 1; }
    bool uses_stg() const { return stg != 0 && !stg_blocks.empty(); }
};

// steps + 1 noise levels from 1 down to 0. Errors: INVALID_ARGUMENT (unknown name, steps out of
// 1..1000, distilled with other than its 8 steps).
std::vector<float> sigmas(const std::string & schedule, int steps);

// Everything per token, [tokens][channels], tokens as geometry.h orders them, images appended.
struct State {
    int64_t tokens = 0;
    int channels = 0;
    std::vector<float> latents, clean, mask; // mask [tokens]: 1 generate, 0 given

    // latents <- noise * mask + latents * (1 - mask)
    void add_noise(const std::vector<float> & noise);
};

// Velocities of one step: `plain` always, the others when the sampling uses them.
struct Velocities {
    std::vector<float> plain, negative, perturbed;
};
using VelocityFn = std::function<Velocities(const State & state, float sigma)>;

// Euler over the sigmas, in place. Reports stage "denoise".
void denoise(State & state, const Sampling & sampling, const std::vector<float> & sigmas,
             const Progress & progress, const VelocityFn & velocity);

// The guided x0 of the reference: plain + (guidance-1)(plain-negative) + stg(plain-perturbed), then
// rescaled towards plain's standard deviation. Empty vectors leave their term out.
std::vector<float> guide(const Sampling & sampling, const std::vector<float> & plain,
                         const std::vector<float> & negative, const std::vector<float> & perturbed);

} // namespace ltx2
