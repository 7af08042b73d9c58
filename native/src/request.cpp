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

static const Recipe & recipe_of(const ltx2_video_params & p) {
    return p.recipe ? find_recipe(p.recipe) : recipes().front();
}

// Of a length that is open: those that last the least, have all images and keyframes, and are
// enough.
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
    const int enough = recipe_of(p).segmented ? scale.time + 1 : 1;
    return std::max({enough, whole, frames_lasting(0, checked_fps(fps), scale.time)});
}

Request Request::resized(const VideoSize & size, const Scale & scale) const {
    Request other = *this;
    other.frames = size.frames, other.height = size.height, other.width = size.width;
    other.noise = nullptr, other.noise_count = 0, other.resume = nullptr; // of this size alone
    Conditions & given = other.conditions;
    if (given.begin > 0 && given.begin + scale.time >= size.frames)
        given.source = nullptr, given.sound = nullptr; // they would begin after its end
    other.grid = grid_of(size.width, size.height, size.frames, fps, scale);
    std::vector<int> & slots = other.kinds_.front().slots;
    slots.erase(std::lower_bound(slots.begin(), slots.end(), size.frames), slots.end());
    other.lay_out(scale);
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
static void check_conditions(const Request & want, bool may_sound, const Scale & scale) {
    const Conditions & c = want.conditions;
    const Recipe & recipe = find_recipe(want.recipe);
    const char * given = c.source ? "source" : c.sound ? "sound" : "references";
    if (recipe.segmented && (c.source || c.sound || !c.references.empty()))
        fail(LTX2_STATUS_INVALID_ARGUMENT, "%s: the recipe %s takes images alone", given,
             recipe.name);
    if (recipe.segmented && want.frames <= scale.time)
        fail(LTX2_STATUS_INVALID_ARGUMENT,
             "frames: %d is too few for the recipe %s, which needs %d", want.frames, recipe.name,
             scale.time + 1);
    if (c.sound && !want.audio)
        fail(may_sound ? LTX2_STATUS_MODEL : LTX2_STATUS_INVALID_ARGUMENT,
             "sound: one is given, and %s", may_sound ? "the model makes none" : "audio is off");
    if (c.source && !c.retakes_video && !want.audio)
        fail(may_sound ? LTX2_STATUS_MODEL : LTX2_STATUS_INVALID_ARGUMENT,
             "retake_what: audio, and %s", may_sound ? "the model makes none" : "audio is off");
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
      audio(makes_sound && p.audio >= 0), recipe(recipe_of(p).name),
      schedule(schedule_for(p, d, find_recipe(recipe))), seed(p.seed), noise(p.noise),
      noise_count(p.noise_count), features(p.features), resume(p.resume), state(p.state),
      user_data(p.user_data) {
    for (const RecipeStage & stage : find_recipe(recipe).stages) {
        check_side("width", width, scale.space * stage.divisor);
        check_side("height", height, scale.space * stage.divisor);
    }
    doublings = doublings_of(p);
    check_doubled(scale);
    choose_stages(p, d);
    lay_out(scale);
    if (!features)
        need(p.prompt, "prompt");
    if (!features && std::all_of(prompt.begin(), prompt.end(), is_space))
        fail(LTX2_STATUS_INVALID_ARGUMENT, "prompt: empty; say what the video shows");
    conditions = Conditions(p, frames, scale);
    check_conditions(*this, p.audio >= 0, scale);
    for (std::vector<Stage> * all : {&stages, &kinds_})
        for (Stage & stage : *all)
            if (only_sound_is_given())
                stage.audio_guidance = {1, 0, 0, {}, 1};
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

void Request::check_doubled(const Scale & scale) const {
    const int made = doubled(frames), most = most_frames(scale);
    if (made > most)
        fail(LTX2_STATUS_INVALID_ARGUMENT,
             "temporal_upscalings: %d makes %d frames of %d, and %d are the most", doublings, made,
             frames, most);
    if (result_fps() > most_fps)
        fail(LTX2_STATUS_INVALID_ARGUMENT,
             "temporal_upscalings: %d makes %g frames a second of fps %g, and %g are the most",
             doublings, result_fps(), fps, most_fps);
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

int64_t Request::tokens(size_t stage) const {
    int64_t cells = stages[stage].grid.cells();
    for (const Grid & group : conditions.appended(stages[stage], stage == 0))
        cells += group.cells();
    return cells;
}

Grid Request::largest() const {
    Grid most = grid;
    for (size_t i = 0; i < stages.size(); ++i) {
        Grid all = stages[i].grid;
        const int64_t frame = all.frame_cells();
        all.frames = static_cast<int>((tokens(i) + frame - 1) / frame);
        most = all.cells() > most.cells() ? all : most;
    }
    return most;
}

bool Request::uses_negative() const {
    return std::any_of(stages.begin(), stages.end(),
                       [](const Stage & stage) { return stage.uses_negative(); });
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
    if (stages.size() > 1) {
        Json::Array levels;
        for (float sigma : stages[1].sigmas)
            if (sigma > 0)
                levels.push_back(short_number(sigma));
        const std::string list = Json(levels).dump();
        settings.set("refine_sigmas", list.substr(1, list.size() - 2));
    }
    if (doublings)
        settings.set("temporal_upscalings", doublings);
    std::string slots;
    for (int frame : kinds_.front().slots)
        slots += words(slots.empty() ? "%d," : " %d,", frame);
    if (kinds_.front().slots.size() > 1)
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
