#include "sampling/denoise.h"

#include <cmath>

namespace ltx2 {

static std::vector<float> ltx2_sigmas(int steps) {
    // The shift is the one for 4096 tokens whatever the video's size, as in the official pipelines.
    const double shift = std::exp(2.05), terminal = 0.1;
    std::vector<double> s(static_cast<size_t>(steps) + 1, 0.0);
    for (int i = 0; i < steps; ++i) {
        // torch.linspace counts in float32, from the nearer end.
        const float step = -1.0f / steps;
        const float linear =
            i < (steps + 1) / 2 ? 1.0f + step * i : 0.0f - step * static_cast<float>(steps - i);
        s[i] = static_cast<float>(shift) / (static_cast<float>(shift) + (1.0f / linear - 1.0f));
    }
    const double scale = (1 - s[steps - 1]) / (1 - terminal);
    std::vector<float> out(s.size(), 0.0f);
    for (int i = 0; i < steps; ++i)
        out[i] = scale > 0 ? static_cast<float>(1 - (1 - s[i]) / scale) : static_cast<float>(s[i]);
    return out;
}

static std::vector<float> linear_quadratic_sigmas(int steps) {
    if (steps == 1)
        return {1.0f, 0.0f};
    const double threshold = 0.025;
    const int linear = steps / 2, quadratic = steps - linear;
    const double difference = linear - threshold * steps;
    const double a = difference / (double(linear) * quadratic * quadratic);
    const double b = threshold / linear - 2 * difference / (double(quadratic) * quadratic);
    const double c = a * linear * linear;
    std::vector<float> out;
    for (int i = 0; i < steps; ++i)
        out.push_back(
            static_cast<float>(1 - (i < linear ? i * threshold / linear : a * i * i + b * i + c)));
    out.push_back(0.0f);
    return out;
}

std::vector<float> sigmas(const std::string & schedule, int steps) {
    if (steps < 1 || steps > 1000)
        fail(LTX2_STATUS_INVALID_ARGUMENT, "steps: %d is not in 1..1000", steps);
    if (schedule == "ltx2")
        return ltx2_sigmas(steps);
    if (schedule == "linear_quadratic")
        return linear_quadratic_sigmas(steps);
    if (schedule == "distilled") {
        if (steps != 8)
            fail(LTX2_STATUS_INVALID_ARGUMENT,
                 "steps: %d does not fit the schedule distilled; it has 8", steps);
        return {1.0f, 0.99375f, 0.9875f, 0.98125f, 0.975f, 0.909375f, 0.725f, 0.421875f, 0.0f};
    }
    fail(LTX2_STATUS_INVALID_ARGUMENT,
         "schedule: %s is unknown; there are distilled, ltx2 and linear_quadratic",
         schedule.c_str());
}

void State::add_noise(const std::vector<float> & noise) {
    for (int64_t t = 0; t < tokens; ++t)
        for (int64_t i = t * channels; i < (t + 1) * channels; ++i)
            latents[i] = noise[i] * mask[t] + latents[i] * (1 - mask[t]);
}

static double deviation(const std::vector<float> & x) {
    double sum = 0, squares = 0;
    for (float v : x)
        sum += v;
    const double mean = sum / static_cast<double>(x.size());
    for (float v : x)
        squares += (v - mean) * (v - mean);
    return std::sqrt(squares / std::max(1.0, static_cast<double>(x.size()) - 1));
}

std::vector<float> guide(const Sampling & s, const std::vector<float> & plain,
                         const std::vector<float> & negative,
                         const std::vector<float> & perturbed) {
    std::vector<float> out = plain;
    for (size_t i = 0; i < out.size(); ++i) {
        if (!negative.empty())
            out[i] += (s.guidance - 1) * (plain[i] - negative[i]);
        if (!perturbed.empty())
            out[i] += s.stg * (plain[i] - perturbed[i]);
    }
    if (s.rescale != 0 && (!negative.empty() || !perturbed.empty())) {
        const double wanted = deviation(plain), have = deviation(out);
        const float factor =
            have > 0 ? static_cast<float>(s.rescale * wanted / have + 1 - s.rescale) : 1.0f;
        for (float & v : out)
            v *= factor;
    }
    return out;
}

// x0 = z - tau v, tau = mask * sigma per token
static std::vector<float> predict(const State & state, float sigma, std::vector<float> velocity) {
    for (int64_t t = 0; t < (velocity.empty() ? 0 : state.tokens); ++t) {
        const float tau = state.mask[t] * sigma;
        for (int64_t i = t * state.channels; i < (t + 1) * state.channels; ++i)
            velocity[i] = state.latents[i] - tau * velocity[i];
    }
    return velocity;
}

void denoise(State & state, const Sampling & sampling, const std::vector<float> & sigmas,
             const Progress & progress, const VelocityFn & velocity) {
    const int steps = static_cast<int>(sigmas.size()) - 1;
    for (int step = 0; step < steps; ++step) {
        progress("denoise", step, steps);
        const float sigma = sigmas[step], next = sigmas[step + 1];
        Velocities v = velocity(state, sigma);
        std::vector<float> x0 = guide(sampling, predict(state, sigma, std::move(v.plain)),
                                      predict(state, sigma, std::move(v.negative)),
                                      predict(state, sigma, std::move(v.perturbed)));
        for (int64_t t = 0; t < state.tokens; ++t)
            for (int64_t i = t * state.channels; i < (t + 1) * state.channels; ++i) {
                // What is given is imposed again; with mask 0 it stays exactly.
                const float x = x0[i] * state.mask[t] + state.clean[i] * (1 - state.mask[t]);
                state.latents[i] += (state.latents[i] - x) / sigma * (next - sigma);
            }
    }
    progress("denoise", steps, steps);
}

} // namespace ltx2
