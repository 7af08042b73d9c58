// How the latents go from one noise level to the next: the list of samplers.
#pragma once

#include "sampling/denoise.h"

#include <string_view>

namespace ltx2 {

// What a sampler works with: it moves `state` along the sigmas of `stage`, from step stage.first.
class Sampling {
public:
    using Values = std::vector<std::vector<float>>; // one a stream

    Sampling(State & state, const Stage & stage, const Progress & progress,
             const VelocityFn & velocity, const NoiseFn & noise, const StepFn & stepped);

    State & state;
    const Stage & stage;

    void begin(int step) const; // reports it
    // What the model takes the final latents of `now` for: guided, with what is given in its place.
    Values predict(const State & now, float sigma) const;
    // Of one stream, fresh for each `draw`.
    std::vector<float> noise(int draw, size_t stream) const { return noise_(draw, stream); }
    void end(int step, const Values & predicted) const; // tells the caller

private:
    const Progress & progress_;
    const VelocityFn & velocity_;
    const NoiseFn & noise_;
    const StepFn & stepped_;
};

struct Sampler {
    const char * name;
    void (*run)(const Sampling & s);
};

const std::vector<Sampler> & samplers(); // the only list of them; the first is the usual one
// INVALID_ARGUMENT naming those there are.
const Sampler & find_sampler(std::string_view name);

} // namespace ltx2
