// The denoise loop. It knows a velocity function, not the DiT.
#pragma once

#include "base/progress.h"
#include "base/token_group.h"
#include "sampling/canvas.h"
#include "sampling/guidance.h"
#include "sampling/positions.h"

#include <algorithm>
#include <functional>

namespace ltx2 {

// One modality while it is denoised. Tokens are the video's cells, then those of images at later
// frames.
struct Stream {
    int channels = 0;
    std::vector<float> latents, clean; // [tokens][channels]; clean: what is given
    std::vector<float> mask;           // [tokens]: 1 generate, 0 given
    std::vector<Position> positions;   // [tokens]
    std::vector<TokenGroup> groups;    // of the tokens; none: all see all
    // [tokens]: 1 where a token to be made stands for one frame alone, as the video's first do,
    // else 0; or empty: none are told apart.
    std::vector<float> single_frames;
    std::vector<float> memory; // what the sampler carries from step to step, or empty

    int64_t tokens() const { return static_cast<int64_t>(mask.size()); }
    bool is_given() const { // whole
        return std::all_of(mask.begin(), mask.end(), [](float m) { return m == 0; });
    }
    // latents <- (noise * scale + latents * (1 - scale)) * mask + clean * (1 - mask)
    void add_noise(const std::vector<float> & noise, float scale);
};
using State = std::vector<Stream>; // the video's stream is the first

struct Sampler; // of samplers.h

// A run over noise levels that may begin below 1, as the second of two stages does.
struct Stage {
    std::vector<float> sigmas;
    Guidance guidance;                          // of the video
    Guidance audio_guidance = {1, 0, 0, {}, 1}; // of the sound, where there is some
    float noise = 1;                            // the share of it that the latents begin with
    int first = 0;                              // how many steps are done already
    const Sampler * sampler = nullptr;          // null: Euler
    Grid grid = {};                             // of the video's latents
    // Of the video, frames that the stage makes besides, each with tokens of its own.
    std::vector<int> slots = {};
    float fps = 24;           // by which its tokens tell time
    int64_t sound_tokens = 0; // 25 a second; none without sound
    bool keeps_sound = true;  // else the video's is that of an earlier stage
    int doubled = 0;          // how often its video's frames were, since they were asked for
    // A part of a video is made, to a sound that is there: which of how many, which part, and how
    // firmly the keyframes that it has are kept.
    int tile = 0, tiles = 0;
    Tile part = {};
    float anchored = 1;
    // What is given of a strength below 1 begins as itself; else as the video there, or as nothing.
    bool begins_given = true;
    // Of the stage before: it is a reference, so many times smaller; 0: it is none. And how much
    // of the strength of a LoRA counts that was trained with references.
    Grid before = {};
    int downscale = 0;
    float referring = 1;
    float fresh = 1;     // the share of fresh noise of a sampler that adds some
    float distilled = 1; // of the strength of a LoRA that makes a dev model a distilled one

    int steps() const { return static_cast<int>(sigmas.size()) - 1; }
    void report(const Progress & progress, int step) const { // of all tiles' in a row
        progress("denoise", tile * steps() + step, std::max(1, tiles) * steps());
    }
    bool uses_negative() const {
        return guidance.uses_negative() || audio_guidance.uses_negative();
    }
    bool uses_stg() const { return guidance.uses_stg() || audio_guidance.uses_stg(); }
    bool uses_isolated() const {
        return guidance.uses_isolated() || audio_guidance.uses_isolated();
    }
};

// Velocities of one step, a vector a stream: `plain` always, the others where guidance uses them.
struct Velocities {
    std::vector<std::vector<float>> plain, negative = {}, perturbed = {}, isolated = {};
};
using VelocityFn = std::function<Velocities(const State & state, float sigma)>;

// Normal noise for a stream, fresh for each draw; samplers without noise ask for none.
using NoiseFn = std::function<std::vector<float>(int draw, size_t stream)>;

// Told after each step: how many of the stage are done, and what this one took the final latents of
// the first stream for.
using StepFn = std::function<void(int done, const std::vector<float> & predicted)>;

// The stage's sampler over its sigmas, in place, on latents that have their noise. Reports
// "denoise".
void denoise(State & state, const Stage & stage, const Progress & progress,
             const VelocityFn & velocity, const NoiseFn & noise = nullptr,
             const StepFn & stepped = nullptr);

} // namespace ltx2
