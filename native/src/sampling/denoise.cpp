#include "sampling/denoise.h"

#include "sampling/samplers.h"

namespace ltx2 {

void Stream::add_noise(const std::vector<float> & noise, float scale) {
    for (int64_t t = 0; t < tokens(); ++t) {
        const float share = mask[t];
        for (int64_t i = t * channels; i < (t + 1) * channels; ++i)
            latents[i] =
                (noise[i] * scale + latents[i] * (1 - scale)) * share + clean[i] * (1 - share);
    }
}

void denoise(State & state, const Stage & stage, const Progress & progress,
             const VelocityFn & velocity, const NoiseFn & noise, const StepFn & stepped) {
    const Sampler & sampler = stage.sampler ? *stage.sampler : samplers().front();
    sampler.run(Sampling(state, stage, progress, velocity, noise, stepped));
    stage.report(progress, stage.steps());
}

} // namespace ltx2
