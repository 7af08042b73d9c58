#include "sampling/recipes.h"

#include "base/named.h"

#include <algorithm>
#include <string>

namespace ltx2 {

// What follows an enlargement: three steps from where most of the noise is back, by the positive
// prompt alone.
static RecipeStage second(const char * sampler, float distilled) {
    RecipeStage stage;
    stage.schedule = "refine";
    stage.sampler = sampler;
    stage.guided = false;
    stage.noise = 0.909375f;
    stage.distilled = distilled;
    return stage;
}

static RecipeStage half_size(float distilled) {
    RecipeStage stage;
    stage.divisor = 2;
    stage.distilled = distilled;
    return stage;
}

static RecipeStage distilled_half() {
    RecipeStage stage = half_size(1);
    stage.schedule = "distilled";
    stage.guided = false;
    return stage;
}

static RecipeStage hq_half() {
    RecipeStage stage = half_size(0.25f);
    stage.schedule = "ltx2";
    stage.steps = 15;
    stage.sampler = "res_2s";
    stage.by_tokens = true;
    stage.rescale = 0.45f;
    stage.stg = 0;
    stage.audio_rescale = 1;
    return stage;
}

// Frames are doubled, and those between made of the noise that is back.
static RecipeStage denser(int tiles) {
    RecipeStage stage;
    stage.schedule = "densify";
    stage.sampler = "ancestral_euler";
    stage.guided = false;
    stage.noise = 0.975f;
    stage.tiles = tiles;
    stage.referring = 0;
    stage.anchored = 0.95f; // so that a tile may settle its borders
    stage.fresh = 0.5f;
    return stage;
}

static RecipeStage segmented_half() {
    RecipeStage stage = distilled_half();
    stage.sampler = "euler";
    stage.referring = 0;
    return stage;
}

static RecipeStage segmented_second() {
    RecipeStage stage = second("euler", 1);
    stage.refers = true;
    // As dfr_pipeline.py of ltx-pipelines merges the LoRA (_DETAILING_LORA_STRENGTH); what it
    // refers to is kept whole. diffusers leaves the LoRA's strength to its caller.
    stage.referring = 0.5f;
    return stage;
}

int Recipe::doublings() const {
    return static_cast<int>(
        std::count_if(stages.begin(), stages.end(), [](const RecipeStage & s) { return s.tiles; }));
}

const std::vector<Recipe> & recipes() {
    static const std::vector<Recipe> all = {
        {"one-stage", {{}}},
        {"two-stage", {half_size(0), second("euler", 1)}},
        {"distilled", {distilled_half(), second("euler", 1)}},
        {"hq", {hq_half(), second("res_2s", 0.5f)}},
        {"dfr",
         {segmented_half(), segmented_second(), denser(2), denser(4)},
         /*segmented=*/true}};
    return all;
}

const Recipe & find_recipe(std::string_view name) { return find_known("recipe", recipes(), name); }

} // namespace ltx2
