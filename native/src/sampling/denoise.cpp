#include "sampling/denoise.h"

namespace ltx2 {

void Stream::add_noise(const std::vector<float> & noise, float scale) {
    for (int64_t t = 0; t < tokens(); ++t) {
        const float share = mask[t] * scale;
        for (int64_t i = t * channels; i < (t + 1) * channels; ++i)
            latents[i] = noise[i] * share + latents[i] * (1 - share);
    }
}

// x0 = z - tau v, tau = mask * sigma per token; empty where there was no such pass.
static std::vector<float> predict(const Stream & stream, float sigma,
                                  std::vector<std::vector<float>> & velocities, size_t which) {
    if (velocities.empty())
        return {};
    std::vector<float> values = std::move(velocities[which]);
    for (int64_t t = 0; t < stream.tokens(); ++t) {
        const float tau = stream.mask[t] * sigma;
        for (int64_t i = t * stream.channels; i < (t + 1) * stream.channels; ++i)
            values[i] = stream.latents[i] - tau * values[i];
    }
    return values;
}

// Gives what the step took the final latents for.
static std::vector<float> step(Stream & stream, std::vector<float> x0, float sigma, float next) {
    for (int64_t t = 0; t < stream.tokens(); ++t)
        for (int64_t i = t * stream.channels; i < (t + 1) * stream.channels; ++i) {
            // What is given is imposed again; with mask 0 it stays exactly.
            const float x = x0[i] * stream.mask[t] + stream.clean[i] * (1 - stream.mask[t]);
            stream.latents[i] += (stream.latents[i] - x) / sigma * (next - sigma);
            x0[i] = x;
        }
    return x0;
}

void denoise(State & state, const Stage & stage, const Progress & progress,
             const VelocityFn & velocity, const StepFn & stepped) {
    const int steps = stage.steps();
    for (int i = stage.first; i < steps; ++i) {
        progress("denoise", i, steps);
        const float sigma = stage.sigmas[i];
        Velocities v = velocity(state, sigma);
        std::vector<float> predicted; // of the first stream
        for (size_t s = 0; s < state.size(); ++s) {
            std::vector<float> x = step(state[s],
                                        guide(stage.guidance, predict(state[s], sigma, v.plain, s),
                                              predict(state[s], sigma, v.negative, s),
                                              predict(state[s], sigma, v.perturbed, s)),
                                        sigma, stage.sigmas[i + 1]);
            if (s == 0)
                predicted = std::move(x);
        }
        if (stepped)
            stepped(i + 1, predicted);
    }
    progress("denoise", steps, steps);
}

} // namespace ltx2
