// The official pipelines, as tables of stages: the list of them.
#pragma once

#include "sampling/guidance.h"

#include <string_view>
#include <vector>

namespace ltx2 {

struct RecipeStage {
    // Of the first stage the caller may choose otherwise; null and 0: what the model wants.
    const char * schedule = nullptr;
    int steps = 0;
    const char * sampler = nullptr;
    bool guided = true;     // as the model and the caller want it
    bool by_tokens = false; // the schedule's shift is for the stage's tokens, not for 4096
    int divisor = 1;        // of the video's rows and columns
    float noise = 1;        // the share of it that the latents begin with
    float distilled = 1;    // of the strength of a LoRA that makes a dev model a distilled one
    float rescale = -1;     // of guidance; negative: the model's
    float stg = -1;         // the same
    float audio_rescale = -1;
    // Frames and rate are doubled before, and so many parts made one after the other, with the
    // keyframes that there are of this strength.
    int tiles = 0;
    float anchored = 1;
    // What the stage before made is a reference, where a LoRA is there that was trained with such;
    // of its strength that much counts.
    bool refers = false;
    float referring = 1;
    float fresh = 1; // the share of fresh noise of a sampler that adds some
};

struct Recipe {
    const char * name;
    std::vector<RecipeStage> stages; // those with tiles come last, as far as they are asked for
    // The video is one of whole segments, at whose borders single frames are made beside it, to the
    // sound of the first stage.
    bool segmented = false;

    int doublings() const; // at most
};

const std::vector<Recipe> & recipes(); // the only list of them; the first is the usual one
// INVALID_ARGUMENT naming those there are.
const Recipe & find_recipe(std::string_view name);

} // namespace ltx2
