// Which stages a request runs in, each with what it makes, as its recipe has them.
#include "request.h"

#include "base/error.h"
#include "base/utf8.h"
#include "sampling/recipes.h"
#include "sampling/samplers.h"
#include "sampling/schedules.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace ltx2 {

static Grid divided(const Grid & grid, int divisor) {
    return {grid.frames, grid.height / divisor, grid.width / divisor};
}

static int latents_of(int frames, const Scale & scale) { return (frames - 1) / scale.time + 1; }

// One rule for the three: zero is the model's own, negative is off.
static float strength(const char * name, float wanted, float otherwise, float off,
                      float most = most_guidance) {
    if (!std::isfinite(wanted) || wanted > most)
        fail(LTX2_STATUS_INVALID_ARGUMENT, "%s: %g is not a number up to %g", name, wanted, most);
    return wanted == 0 ? otherwise : wanted < 0 ? off : wanted;
}

// What its row of the recipe says alone.
static Stage stage_of(const RecipeStage & r) {
    Stage stage;
    stage.noise = r.noise;
    stage.distilled = r.distilled;
    stage.anchored = r.anchored;
    stage.referring = r.referring;
    stage.fresh = r.fresh;
    return stage;
}

static bool falls(const std::vector<float> & levels) {
    for (size_t i = 1; i < levels.size(); ++i)
        if (!(levels[i] < levels[i - 1])) // nor is one no number
            return false;
    return true;
}

static Stage first_stage(const ltx2_video_params & p, const Defaults & d, const std::string & name,
                         const RecipeStage & r, const Grid & grid, bool audio) {
    Stage stage = stage_of(r);
    const int only = find_schedule(name).steps; // that this schedule has
    const std::string & own_sampler = name == "distilled" ? d.distilled_sampler : d.sampler;
    stage.sampler = &find_sampler(p.sampler   ? p.sampler
                                  : r.sampler ? r.sampler
                                              : own_sampler.c_str());
    // Such a schedule is a distilled model's: for another than the file says, it brings its recipe.
    const bool distilled = only && name != d.schedule;
    const bool guided = r.guided && !distilled;
    Guidance own = guided ? d.guidance : Guidance{1, 0, 0, d.guidance.stg_blocks, 1};
    own.rescale = r.rescale < 0 ? own.rescale : r.rescale;
    own.stg = r.stg < 0 ? own.stg : r.stg;
    const int steps = p.steps ? p.steps : r.steps ? r.steps : distilled ? only : d.steps;
    stage.sigmas = r.by_tokens ? sigmas(name, steps, grid.cells()) : sigmas(name, steps);
    if (!falls(stage.sigmas))
        fail(LTX2_STATUS_INVALID_ARGUMENT,
             "frames: the noise of this recipe falls by the tokens of its first stage, and with "
             "%lld and %d steps not at every step; ask for fewer frames, a smaller picture, or "
             "another recipe",
             static_cast<long long>(grid.cells()), steps);
    if (only) // as those that are known for a later stage begin with less
        stage.noise = stage.sigmas.front();
    stage.guidance = {strength("guidance", p.guidance, own.scale, 1),
                      strength("stg", p.stg, own.stg, 0),
                      strength("rescale", p.rescale, own.rescale, 0, 1), own.stg_blocks,
                      strength("modality_guidance", p.modality_guidance, own.modality, 1)};
    Guidance & sound = stage.audio_guidance = stage.guidance;
    sound.scale = strength("audio_guidance", p.audio_guidance, guided ? d.audio_guidance : 1, 1);
    // The recipe's own, stated, is still the recipe's: callers state what `settings` says.
    if (sound.rescale == own.rescale && r.audio_rescale >= 0)
        sound.rescale = r.audio_rescale;
    if (!audio) {
        stage.guidance.modality = 1;
        stage.audio_guidance = {1, 0, 0, {}, 1};
    }
    return stage;
}

// Numbers as they are written, with commas, those too large for F32 the largest of it; `refuse` is
// told what is wrong, and throws.
template <class Refuse>
static std::vector<float> numbers_of(const std::string & text, const Refuse & refuse) {
    constexpr double most = std::numeric_limits<float>::max();
    std::vector<float> numbers;
    try {
        for (const Json & number : Json::parse("[" + text + "]", "").array(""))
            numbers.push_back(static_cast<float>(std::clamp(number.number(""), -most, most)));
    } catch (const Error & e) {
        if (e.status() != LTX2_STATUS_MODEL)
            throw;
        refuse("is no list of numbers");
    }
    return numbers;
}

// A list has a comma.
std::vector<int> slots_of(const std::string & text, int frames, bool is_open) {
    const auto refuse = [&](const char * why) {
        fail(LTX2_STATUS_INVALID_ARGUMENT,
             "generated_keyframes: %s %s; give up to %d, or rising frames in 0..%d, as \"24, 48\"",
             shown(text).c_str(), why, std::max(frames - 2, 0), frames - 1);
    };
    const int most = 1 << 20;
    const bool counts = text.find(',') == std::string::npos;
    const size_t end = text.find_last_not_of(' ');
    const bool one = end != std::string::npos && text[end] == ',';
    std::vector<int> slots;
    for (float number : numbers_of(one ? text.substr(0, end) : text, refuse)) {
        if (!(number >= 0) || number != std::floor(number))
            refuse(counts ? "is no number of them" : "has one that is no frame of the video");
        if (number >= static_cast<float>(counts && is_open ? most : frames))
            refuse(counts ? "is too many" : "has one that is no frame of the video");
        if (!slots.empty() && number <= static_cast<float>(slots.back()))
            refuse("does not rise");
        slots.push_back(static_cast<int>(number));
    }
    if (slots.empty())
        refuse("is none");
    if (!counts)
        return slots;
    if (is_open)
        return {};
    if (slots[0] > frames - 2)
        refuse("is too many");
    return spread_frames(slots[0], frames);
}

// Noise levels as they are written: numbers from at most 1 down to above 0, then 0, which may be
// left out. INVALID_ARGUMENT.
static std::vector<float> sigmas_of(const char * text) {
    const auto refuse = [&](const char * why) {
        fail(LTX2_STATUS_INVALID_ARGUMENT,
             "refine_sigmas: %s %s; give falling numbers, as 0.85, 0.725, 0.4219",
             shown(text).c_str(), why);
    };
    std::vector<float> levels = numbers_of(text, refuse);
    if (!levels.empty() && !(falls(levels) && levels.front() <= 1 && levels.back() >= 0))
        refuse("does not fall from at most 1 to 0");
    if (levels.size() > 1000)
        refuse("is longer than 1000");
    if (levels.empty() || levels.front() == 0)
        refuse("has no noise level");
    if (levels.back() != 0)
        levels.push_back(0);
    return levels;
}

// A further stage is as the recipe has it, but for the noise levels that a caller gives.
static Stage later_stage(const RecipeStage & r, const char * given) {
    Stage stage = stage_of(r);
    const Schedule & schedule = find_schedule(r.schedule);
    stage.sampler = &find_sampler(r.sampler);
    stage.sigmas = given ? sigmas_of(given) : sigmas(schedule.name, schedule.steps);
    stage.guidance = {1, 0, 0, {}, 1};
    if (given)
        stage.noise = stage.sigmas.front();
    return stage;
}

int Request::doublings_of(const ltx2_video_params & p) const {
    const int most = find_recipe(recipe).doublings();
    if (p.temporal_upscalings > 0 && !most)
        fail(LTX2_STATUS_INVALID_ARGUMENT, "temporal_upscalings: the recipe %s has none; dfr does",
             recipe.c_str());
    if (p.temporal_upscalings > most)
        fail(LTX2_STATUS_INVALID_ARGUMENT, "temporal_upscalings: %d is not in 0..%d",
             p.temporal_upscalings, most);
    return std::max(0, p.temporal_upscalings);
}

void Request::choose_stages(const ltx2_video_params & p, const Defaults & d) {
    const Recipe & all = find_recipe(recipe);
    kinds_ = {
        first_stage(p, d, schedule, all.stages[0], divided(grid, all.stages[0].divisor), audio)};
    if (p.refine_sigmas && all.stages.size() == 1)
        fail(LTX2_STATUS_INVALID_ARGUMENT,
             "refine_sigmas: the recipe %s has no stage after the first", all.name);
    if (p.generated_keyframes && all.segmented)
        fail(LTX2_STATUS_INVALID_ARGUMENT, "generated_keyframes: the recipe %s has its own",
             all.name);
    if (p.generated_keyframes)
        kinds_[0].slots = slots_of(p.generated_keyframes, frames, length_is_open);
    const size_t count = all.stages.size() - static_cast<size_t>(all.doublings() - doublings);
    for (size_t i = 1; i < count; ++i)
        kinds_.push_back(
            later_stage(all.stages[i], all.stages[i].tiles ? nullptr : p.refine_sigmas));
}

static int64_t sound_tokens(int frames, float fps) {
    const double seconds = frames / double{fps}, latents_per_second = 25;
    return std::max<int64_t>(1, std::llrint(seconds * latents_per_second)); // half ones to even
}

// The rates that LTX-2.5 was trained at: faster videos are told as if they had 60 frames a second.
static float told_rate(float fps) { return fps > 30 ? 60 : fps; }

int Request::reference_ratio() const {
    for (const Stage & stage : stages)
        if (stage.before.frames)
            return stage.grid.height / stage.before.height;
    return 0;
}

void Request::refer() {
    refers_ = true;
    for (Stage & stage : stages)
        if (stage.before.frames)
            stage.downscale = reference_ratio();
}

void Request::lay_out(const Scale & scale) {
    const Recipe & all = find_recipe(recipe);
    Canvas canvas = all.segmented ? canvas_for(frames, scale) : Canvas{frames, frames};
    const int segment = canvas.segment;
    stages.clear();
    for (size_t i = 0; i < kinds_.size(); ++i) {
        const RecipeStage & row = all.stages[i];
        Stage stage = kinds_[i];
        if (row.tiles) { // with a single frame in the middle of each segment
            canvas = {2 * canvas.frames - 1, 2 * segment};
            stage.doubled = stages.back().doubled + 1;
        }
        const float shown = fps * static_cast<float>(1 << stage.doubled);
        stage.fps = all.segmented ? told_rate(shown) : shown;
        stage.keeps_sound = !all.segmented || i == 0;
        stage.begins_given = !all.segmented; // as diffusers' DFR pipelines
        Tile whole;
        whole.end = latents_of(canvas.frames, scale);
        const std::vector<Tile> tiles =
            row.tiles ? tiles_of(canvas, row.tiles, scale) : std::vector<Tile>{whole};
        for (size_t t = 0; t < tiles.size(); ++t) {
            const int latents = tiles[t].end - tiles[t].first;
            const int made = scale.time * (latents - 1) + 1;
            stage.grid = divided({latents, grid.height, grid.width}, row.divisor);
            stage.before = row.refers ? stages.back().grid : Grid();
            stage.downscale = row.refers && refers_ ? stage.grid.height / stage.before.height : 0;
            stage.part = tiles[t];
            stage.tile = static_cast<int>(t);
            stage.tiles = row.tiles ? static_cast<int>(tiles.size()) : 0;
            if (all.segmented)
                stage.slots = row.tiles ? tiles[t].slots : canvas.borders();
            stage.sound_tokens = !audio ? 0 : sound_tokens(made, row.tiles ? stage.fps : shown);
            stages.push_back(stage);
        }
    }
}

} // namespace ltx2
