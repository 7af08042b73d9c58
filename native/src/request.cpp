#include "request.h"

#include "base/error.h"
#include "base/log.h"
#include "base/utf8.h"
#include "files/paths.h"
#include "sampling/recipes.h"
#include "sampling/samplers.h"
#include "sampling/schedules.h"
#include "text/duration.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace ltx2 {

// The bounds of what may be asked for; config's `sampling` has the same.
static constexpr int largest_side = 8192; // positions range over 2048 pixels
static constexpr int most_latent_frames = 513;
static constexpr float most_guidance = 100;
static constexpr float least_fps = 1, most_fps = 240;

static void check_side(const char * name, int value, int step) {
    if (value >= step && value <= largest_side && value % step == 0)
        return;
    const int below = std::min(std::max(value / step * step, step), largest_side);
    fail(LTX2_STATUS_INVALID_ARGUMENT,
         "%s: %d is not a multiple of %d in %d..%d; nearest are %d and %d", name, value, step, step,
         largest_side, below, std::min(below + step, largest_side));
}

float checked_fps(float fps) {
    if (!(fps >= least_fps && fps <= most_fps))
        fail(LTX2_STATUS_INVALID_ARGUMENT, "fps: %g is not in %g..%g", fps, least_fps, most_fps);
    return fps;
}

int most_frames(const Scale & scale) { return scale.time * (most_latent_frames - 1) + 1; }

static Grid grid_of(int width, int height, int frames, float fps, const Scale & scale) {
    check_side("width", width, scale.space);
    check_side("height", height, scale.space);
    const int step = scale.time, most = most_frames(scale);
    if (frames < 1 || frames > most || (frames - 1) % step) {
        const int below = std::clamp((std::max(frames, 1) - 1) / step * step + 1, 1, most - step);
        fail(LTX2_STATUS_INVALID_ARGUMENT,
             "frames: %d is not %dk+1 in 1..%d; nearest are %d and %d", frames, step, most, below,
             below + step);
    }
    checked_fps(fps);
    return {(frames - 1) / step + 1, height / scale.space, width / scale.space};
}

static Grid divided(const Grid & grid, int divisor) {
    return {grid.frames, grid.height / divisor, grid.width / divisor};
}

// ---- the model's own

static std::vector<int> stg_blocks(const Config & sampling, const std::vector<int> & usual,
                                   int layers) {
    const bool stated = sampling.find("stg_blocks").has_value();
    std::vector<int> blocks;
    for (double block : sampling.numbers("stg_blocks", {usual.begin(), usual.end()})) {
        const bool fits = block >= 0 && block < layers && block == std::floor(block);
        if (fits)
            blocks.push_back(static_cast<int>(block));
        else if (stated)
            sampling.refuse("stg_blocks", words("%g is not in 0..%d", block, layers - 1));
    }
    return blocks;
}

static std::string variant_in(const std::string & name) {
    std::string names = " "; // their words, with a space before each
    for (char c : name + ' ')
        names += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a')
                 : (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? c
                                                                    : ' ';
    if (names.find(" distilled") != std::string::npos)
        return "distilled";
    if (names.find(" dev ") != std::string::npos)
        return "dev";
    return "";
}

std::string stated_variant(const Part & part) {
    const Config sampling = part.group("sampling");
    if (sampling.find("schedule"))
        return sampling.text("schedule") == "distilled" ? "distilled" : "dev";
    const Config general(part.file->metadata, part.file->path + ": ", "general.");
    return variant_in(general.text("name", ""));
}

std::string variant_of(const Part & dit) {
    const std::string named = variant_in(file_name(dit.file->path) + ' ' + file_name(dit.whole));
    return named.empty() ? stated_variant(dit) : named;
}

// The variants have the same tensors and the same config; only the values of the weights differ, by
// no rule that is known. So a file's `sampling` tells which it is, or its name, or nothing.
static std::string schedule_of(const Part & dit, const Config & sampling) {
    if (sampling.find("schedule"))
        return sampling.text("schedule");
    const std::string variant = variant_of(dit);
    const char * path = dit.file->path.c_str();
    if (variant.empty())
        log(Level::warning,
            "%s: nothing tells whether it is a distilled or a dev model; dev is assumed, which "
            "takes many guided steps. For a distilled one give the schedule distilled, or convert "
            "it with the variant distilled",
            path);
    else
        log(Level::info, "%s: a %s model, by its name", path, variant.c_str());
    return variant == "distilled" ? "distilled" : "ltx2";
}

Defaults::Defaults(const Part & dit, const Generation & generation, int layers, const Scale & scale)
    : distilled_sampler(generation.sampler), steps(generation.steps) {
    guidance.stg_blocks = {generation.stg_block};
    const Config c = dit.group("sampling");
    const auto amount = [&](const char * key, float otherwise) {
        return static_cast<float>(c.number(key, otherwise, 0, most_guidance));
    };
    schedule = schedule_of(dit, c);
    if (schedule == "distilled") {
        steps = 8;
        guidance = {1, 0, 0, guidance.stg_blocks, 1};
        audio_guidance = 1;
    }
    try {
        steps = c.integer("steps", steps, 1, 1000);
        guidance = {amount("guidance", guidance.scale), amount("stg", guidance.stg),
                    amount("rescale", guidance.rescale), stg_blocks(c, guidance.stg_blocks, layers),
                    amount("modality_guidance", guidance.modality)};
        audio_guidance = amount("audio_guidance", audio_guidance);
        sigmas(schedule, steps); // a schedule that does not exist is refused here
        std::string & own = schedule == "distilled" ? distilled_sampler : sampler;
        own = c.text("sampler", own);
        find_sampler(own);
        negative = c.text("negative_prompt", negative);
        width = c.integer("width", width, 1, largest_side);
        height = c.integer("height", height, 1, largest_side);
        frames = c.integer("frames", frames, 1, 1 << 20);
        fps = static_cast<float>(c.number("fps", fps, least_fps, most_fps));
        grid_of(width, height, frames, fps, scale);
    } catch (const Error & e) {
        if (e.status() != LTX2_STATUS_INVALID_ARGUMENT)
            throw;
        fail(LTX2_STATUS_MODEL, "%s%s", c.what("").c_str(), e.what());
    }
}

// ---- the caller's

// Where nothing else does.
static bool leaves_length(const ltx2_video_params & p, const Defaults & d) {
    return d.tells_length && !p.frames && !p.noise_count && !p.reference_count && !p.source &&
           !p.sound;
}

// One rule for the three: zero is the model's own, negative is off.
static float strength(const char * name, float wanted, float otherwise, float off) {
    if (!std::isfinite(wanted) || wanted > most_guidance)
        fail(LTX2_STATUS_INVALID_ARGUMENT, "%s: %g is not a number up to %g", name, wanted,
             most_guidance);
    return wanted == 0 ? otherwise : wanted < 0 ? off : wanted;
}

static Stage first_stage(const ltx2_video_params & p, const Defaults & d, const std::string & name,
                         const RecipeStage & r, const Grid & grid, bool audio) {
    Stage stage;
    stage.grid = grid;
    stage.distilled = r.distilled;
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
    stage.guidance = {strength("guidance", p.guidance, own.scale, 1),
                      strength("stg", p.stg, own.stg, 0),
                      strength("rescale", p.rescale, own.rescale, 0), own.stg_blocks,
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

// Numbers as they are written, with commas; `refuse` is told what is wrong, and throws.
template <class Refuse>
static std::vector<float> numbers_of(const std::string & text, const Refuse & refuse) {
    std::vector<float> numbers;
    try {
        for (const Json & number : Json::parse("[" + text + "]", "").array(""))
            numbers.push_back(static_cast<float>(number.number("")));
    } catch (const Error & e) {
        if (e.status() != LTX2_STATUS_MODEL)
            throw;
        refuse("is no list of numbers");
    }
    return numbers;
}

// How many, evenly spread, or which: with a comma. Of a length that is open, a number of them is
// not spread yet. INVALID_ARGUMENT.
static std::vector<int> slots_of(const std::string & text, int frames, bool is_open) {
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

// Of a length that is open: those that last the least, or have all images and keyframes.
static int least_frames(const ltx2_video_params & p, float fps, const Scale & scale) {
    const int most = most_frames(scale);
    const size_t images = p.image_count > static_cast<size_t>(most) ? 0 : p.image_count;
    int last = 0; // that has an image; what cannot be is refused with the images
    if (images)
        need(p.images, "images");
    for (size_t i = 0; i < images; ++i)
        last = std::max(last, std::min(p.images[i].frame, most - 1));
    if (p.generated_keyframes)
        if (const auto slots = slots_of(p.generated_keyframes, most, true); !slots.empty())
            last = std::max(last, slots.back());
    const int whole = (last + scale.time - 1) / scale.time * scale.time + 1;
    return std::max(whole, frames_lasting(0, checked_fps(fps), scale.time));
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
    for (size_t i = 0; i < levels.size(); ++i)
        if (!(levels[i] >= 0 && levels[i] <= 1) || (i && !(levels[i] < levels[i - 1])))
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
static Stage later_stage(const RecipeStage & r, const char * given, const Grid & grid) {
    Stage stage;
    const Schedule & schedule = find_schedule(r.schedule);
    stage.sampler = &find_sampler(r.sampler);
    stage.sigmas = given ? sigmas_of(given) : sigmas(schedule.name, schedule.steps);
    stage.guidance = {1, 0, 0, {}, 1};
    stage.noise = given ? stage.sigmas.front() : r.noise;
    stage.grid = grid;
    stage.distilled = r.distilled;
    return stage;
}

static std::vector<Stage> stages_of(const ltx2_video_params & p, const Defaults & d,
                                    const std::string & schedule, const Recipe & recipe,
                                    const Grid & grid, bool audio) {
    std::vector<Stage> stages = {first_stage(p, d, schedule, recipe.stages[0],
                                             divided(grid, recipe.stages[0].divisor), audio)};
    if (p.refine_sigmas && recipe.stages.size() == 1)
        fail(LTX2_STATUS_INVALID_ARGUMENT,
             "refine_sigmas: the recipe %s has no stage after the first", recipe.name);
    for (size_t i = 1; i < recipe.stages.size(); ++i)
        stages.push_back(later_stage(recipe.stages[i], p.refine_sigmas,
                                     divided(grid, recipe.stages[i].divisor)));
    return stages;
}

Request Request::resized(const VideoSize & size, const Scale & scale) const {
    Request other = *this;
    other.frames = size.frames, other.height = size.height, other.width = size.width;
    other.noise = nullptr, other.noise_count = 0, other.resume = nullptr; // of this size alone
    if (other.conditions.begin + scale.time >= size.frames)
        other.conditions = {};
    other.grid = grid_of(size.width, size.height, size.frames, fps, scale);
    const Recipe & all = find_recipe(recipe);
    for (size_t i = 0; i < other.stages.size(); ++i) {
        std::vector<int> & slots = other.stages[i].slots;
        slots.erase(std::lower_bound(slots.begin(), slots.end(), size.frames), slots.end());
        other.stages[i].grid = divided(other.grid, all.stages[i].divisor);
    }
    return other;
}

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static void check_features(const ltx2_features & features, bool negative) {
    need(features.values, "features.values");
    const int most = 1 << 14; // rows of text, and values in one
    if (features.rows < 1 || features.rows > most || features.width < 1 || features.width > most)
        fail(LTX2_STATUS_INVALID_ARGUMENT, "features: %d x %d values are not in 1..%d",
             features.rows, features.width, most);
    if (negative && !features.negative)
        fail(LTX2_STATUS_INVALID_ARGUMENT,
             "features: hold no negative prompt, which this guidance reads; encode the prompt with "
             "the same guidance");
    if (negative)
        need(features.negative, "features.negative");
}

// The steps that are done are those of the first stages.
static void skip_steps(std::vector<Stage> & stages, const ltx2_state & resume) {
    need(resume.values, "resume.values");
    int left = resume.step, steps = 0;
    for (Stage & stage : stages) {
        stage.first = std::clamp(left, 0, stage.steps());
        left -= stage.first;
        steps += stage.steps();
    }
    if (resume.step < 1 || left)
        fail(LTX2_STATUS_INVALID_ARGUMENT, "resume.step: %d is not in 1..%d", resume.step, steps);
}

static std::string schedule_for(const ltx2_video_params & p, const Defaults & d,
                                const Recipe & recipe) {
    const char * own = recipe.stages[0].schedule;
    return p.schedule ? p.schedule : own ? own : d.schedule;
}

// That what is given fits what is asked for.
static void check_conditions(const Request & want, bool may_sound) {
    const Conditions & c = want.conditions;
    if (c.sound && !want.audio)
        fail(may_sound ? LTX2_STATUS_MODEL : LTX2_STATUS_INVALID_ARGUMENT,
             "sound: one is given, and %s", may_sound ? "the model makes none" : "audio is off");
    if (c.to > static_cast<float>(want.frames) / want.fps + 1e-3f)
        fail(LTX2_STATUS_INVALID_ARGUMENT, "retake_end: %g is after the video's %g seconds", c.to,
             static_cast<float>(want.frames) / want.fps);
}

Request::Request(const ltx2_video_params & p, const Defaults & d, const Scale & scale,
                 bool makes_sound)
    : prompt(p.prompt ? p.prompt : ""),
      negative(p.negative_prompt ? p.negative_prompt : d.negative),
      negative_given(p.negative_prompt && negative != d.negative),
      length_is_open(leaves_length(p, d)), width(p.width ? p.width : d.width),
      height(p.height ? p.height : d.height),
      frames(p.frames         ? p.frames
             : length_is_open ? least_frames(p, p.fps != 0 ? p.fps : d.fps, scale)
                              : d.frames),
      fps(p.fps != 0 ? p.fps : d.fps), grid(grid_of(width, height, frames, fps, scale)),
      audio(makes_sound && p.audio >= 0), recipe(p.recipe ? p.recipe : recipes().front().name),
      schedule(schedule_for(p, d, find_recipe(recipe))), seed(p.seed), noise(p.noise),
      noise_count(p.noise_count), features(p.features), resume(p.resume), state(p.state),
      user_data(p.user_data) {
    for (const RecipeStage & stage : find_recipe(recipe).stages) {
        check_side("width", width, scale.space * stage.divisor);
        check_side("height", height, scale.space * stage.divisor);
    }
    stages = stages_of(p, d, schedule, find_recipe(recipe), grid, audio);
    if (!features)
        need(p.prompt, "prompt");
    if (!features && std::all_of(prompt.begin(), prompt.end(), is_space))
        fail(LTX2_STATUS_INVALID_ARGUMENT, "prompt: empty; say what the video shows");
    conditions = Conditions(p, frames, scale);
    check_conditions(*this, p.audio >= 0);
    for (Stage & stage : stages)
        if (only_sound_is_given())
            stage.audio_guidance = {1, 0, 0, {}, 1};
    if (p.generated_keyframes)
        stages.front().slots = slots_of(p.generated_keyframes, frames, length_is_open);
    if (noise_count)
        need(noise, "noise");
    if (features) {
        need(features, "features");
        check_features(*features, uses_negative());
    }
    if (resume) {
        need(resume, "resume");
        skip_steps(stages, *resume);
    }
}

void Request::check_references(const Scale & scale) const {
    const Grid & first = stages.front().grid;
    for (size_t i = 0; i < conditions.references.size(); ++i) {
        const int factor = conditions.references[i].downscale;
        if (first.height % factor || first.width % factor)
            fail(LTX2_STATUS_INVALID_ARGUMENT,
                 "references[%zu]: %d x %d is not a multiple of %d, for a reference that is %d "
                 "times smaller",
                 i, first.width * scale.space, first.height * scale.space, scale.space * factor,
                 factor);
    }
}

bool Request::uses_negative() const {
    return std::any_of(stages.begin(), stages.end(),
                       [](const Stage & stage) { return stage.uses_negative(); });
}

int64_t Request::sound_tokens() const {
    const double latents_per_second = 25;
    const int64_t tokens = std::llrint(latents_per_second * frames / double{fps}); // halves to even
    return audio ? std::max<int64_t>(1, tokens) : 0;
}

// As it is written, not with the digits that a double adds: 0.7.
static double short_number(float value) {
    double number = value;
    for (int digits = 6; digits < 9; ++digits) {
        number = std::strtod(words("%.*g", digits, double{value}).c_str(), nullptr);
        if (static_cast<float>(number) == value)
            break;
    }
    return number;
}

Json Request::settings() const {
    const Stage & stage = stages.front();
    const Guidance & guidance = stage.guidance;
    Json settings = Json::Object{
        {"negative_prompt", uses_negative() ? Json(negative) : Json()},
        {"width", width},
        {"height", height},
        {"frames", length_is_open ? Json() : Json(frames)},
        {"fps", short_number(fps)},
        {"recipe", recipe},
        {"schedule", schedule},
        {"sampler", stage.sampler->name},
        {"steps", stage.steps()},
        {"guidance", short_number(guidance.scale)},
        {"stg", short_number(guidance.stg)},
        {"rescale", short_number(guidance.rescale)},
        {"audio", audio},
    };
    if (predicted_seconds > 0)
        settings.set("predicted_seconds", short_number(static_cast<float>(predicted_seconds)));
    if (stages.size() > 1) { // those after the first are alike
        Json::Array levels;
        for (float sigma : stages.back().sigmas)
            if (sigma > 0)
                levels.push_back(short_number(sigma));
        const std::string list = Json(levels).dump();
        settings.set("refine_sigmas", list.substr(1, list.size() - 2));
    }
    std::string slots;
    for (int frame : stage.slots)
        slots += words(slots.empty() ? "%d," : " %d,", frame);
    if (stage.slots.size() > 1)
        slots.pop_back(); // with its comma a single one is no number of them
    if (!slots.empty())
        settings.set("generated_keyframes", slots);
    if (audio) {
        settings.set("audio_guidance", short_number(stage.audio_guidance.scale));
        settings.set("modality_guidance", short_number(guidance.modality));
    }
    return settings;
}

} // namespace ltx2
