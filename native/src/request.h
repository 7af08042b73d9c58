// What a caller wants, with the model's own defaults filled in, checked before any work.
#pragma once

#include "conditions.h"
#include "ltx2.h"
#include "model/builtin/generations.h"
#include "model/model.h"
#include "sampling/denoise.h"

#include <string>

namespace ltx2 {

// What the model itself wants: its config's `sampling` group, else what its kind is known for.
struct Defaults {
    int width = 768, height = 512, frames = 121; // pixels
    float fps = 24;
    std::string schedule = "ltx2";
    std::string sampler = "euler";
    std::string distilled_sampler = "euler"; // where the schedule is a distilled model's
    int steps = 30;
    // Without blocks to perturb where the model has fewer than the default's. The sound's differs
    // in its scale alone. `modality` counts with sound alone.
    Guidance guidance = {3, 1, 0.7f, {28}, 3};
    float audio_guidance = 7;
    std::string negative = ltx23_negative_prompt;
    bool tells_length = false; // of the prompt, in place of `frames`

    Defaults() = default;
    // Of a model whose DiT has `layers` blocks and whose VAE has this scale. MODEL. Warns where
    // nothing tells which variant it is.
    Defaults(const Part & dit, const Generation & generation, int layers, const Scale & scale);
};

// "distilled" or "dev", by what its file, or the folder of its shards, is called, else by what it
// states; else "".
std::string variant_of(const Part & dit);
// By what the part's file states: its `sampling`, else its general.name; else "".
std::string stated_variant(const Part & part);
float checked_fps(float fps); // INVALID_ARGUMENT
int most_frames(const Scale & scale);
// Frames that are made beside a video: so many, evenly spread, or those listed. Of a length that is
// open, a number of them is not spread yet. INVALID_ARGUMENT.
std::vector<int> slots_of(const std::string & text, int frames, bool is_open);

constexpr float most_guidance = 100;

struct VideoSize {
    int frames = 0, height = 0, width = 0; // pixels

    size_t values() const { return size_t{3} * static_cast<size_t>(frames) * height * width; }
};

struct Request {
    std::string prompt, negative;
    bool negative_given; // by the caller, and not the model's own
    Conditions conditions;
    bool length_is_open; // until the prompt's features tell: `frames` are the least they may
    double predicted_seconds = 0;          // that they told, or 0
    int width = 0, height = 0, frames = 0; // pixels
    float fps = 0;
    Grid grid;
    bool audio = false; // sound too
    std::string recipe;
    std::string schedule;      // of the first stage
    std::vector<Stage> stages; // in the order they run
    int doublings = 0;         // of frames and rate, after what is asked for is made
    uint64_t seed = 0;
    const float * noise = nullptr; // the caller's, in planes; null: from the seed
    size_t noise_count = 0;
    const ltx2_features * features = nullptr; // in place of the prompts
    const ltx2_state * resume = nullptr;      // the stages know from its step what is left to do
    ltx2_state_fn state = nullptr;
    void * user_data = nullptr; // of that function

    VideoSize size() const { return {frames, height, width}; }
    // The same of another size, for weighing what it would take.
    Request resized(const VideoSize & size, const Scale & scale) const;

    // INVALID_ARGUMENT naming the field, and where it helps the nearest values that work.
    Request(const ltx2_video_params & params, const Defaults & defaults, const Scale & scale,
            bool makes_sound = false);

    bool uses_negative() const; // in any stage
    // Then nothing guides the sound, as in the official pipeline from sound to video.
    bool only_sound_is_given() const { return conditions.sound && !conditions.source; }
    int doubled(int count) const { return ((count - 1) << doublings) + 1; } // of frames, at the end
    float result_fps() const { return fps * static_cast<float>(1 << doublings); }
    int64_t tokens(size_t stage) const; // of the video that it makes, and after these
    Grid largest() const;               // that holds as many as any stage has
    Grid result() const {               // of the latents that are decoded
        return {doubled(grid.frames), grid.height, grid.width};
    }
    // That their factors divide the first stage. INVALID_ARGUMENT.
    void check_references(const Scale & scale) const;
    // How many times smaller the video of the stage before is where a stage may refer to it, else
    // 0; `refer` makes it do so.
    int reference_ratio() const;
    void refer();
    Json settings() const; // as ltx2_session_settings has the options

private:
    int doublings_of(const ltx2_video_params & params) const;
    void check_doubled(const Scale & scale) const; // that it can be made. INVALID_ARGUMENT
    void choose_stages(const ltx2_video_params & params, const Defaults & defaults);
    void lay_out(const Scale & scale); // the stages, of those chosen

    std::vector<Stage> kinds_; // one of each that the recipe has
    bool refers_ = false;
};

} // namespace ltx2
