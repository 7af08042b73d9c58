#include "sampling/recipes.h"

#include "base/named.h"

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

const std::vector<Recipe> & recipes() {
    static const std::vector<Recipe> all = {{"one-stage", {{}}},
                                            {"two-stage", {half_size(0), second("euler", 1)}},
                                            {"distilled", {distilled_half(), second("euler", 1)}},
                                            {"hq", {hq_half(), second("res_2s", 0.5f)}}};
    return all;
}

const Recipe & find_recipe(std::string_view name) { return find_known("recipe", recipes(), name); }

} // namespace ltx2
