// What a video is made by besides its prompt: pictures, reference videos, and a part that is there
// already.
#pragma once

#include "audio/sound.h"
#include "ltx2.h"
#include "sampling/denoise.h"
#include "sampling/positions.h"

#include <vector>

namespace ltx2 {

struct Conditions {
    std::vector<ltx2_image> images; // at different frames
    bool keyframes = false;         // that of frame 0 comes after the video's tokens too
    std::vector<ltx2_reference> references;
    const ltx2_clip * source = nullptr;
    const ltx2_sound * sound = nullptr;
    int begin = 0;          // frame of the video where source and sound begin
    float from = 0, to = 0; // seconds that are made anew
    bool retakes_video = true, retakes_sound = true;
    Scale scale; // of the video

    Conditions() = default;
    // For a video of so many frames. INVALID_ARGUMENT naming the field.
    Conditions(const ltx2_video_params & params, int frames, const Scale & scale);

    // Those that lie in what a stage makes, at its frames.
    std::vector<ltx2_image> images_in(const Stage & stage) const;
    // What the tokens of that are followed by, in this order: images, keyframes that are there
    // already, those that the stage makes, the stage before where it is a reference, then
    // references that are given, which the first stage alone has.
    std::vector<Grid> appended(const Stage & stage, bool first_stage) const;
    bool is_appended(const ltx2_image & image) const { return keyframes || image.frame > 0; }
    // Frames of the source that are used: 8k + 1, and no more than the video has from `begin` on.
    int source_frames(int frames) const;
    // Whether these seconds lie, for a part, in what is made anew.
    bool retakes(float start, float end) const { return end > from && start < to; }
};

// Which frames of a reference are used: the first, and then every so many, 8k + 1 in all.
std::vector<int> frames_of(const ltx2_reference & reference, int frames, const Scale & scale);

// The latents of one on a video of this grid: smaller by its factor.
Grid grid_of(const ltx2_reference & reference, const Grid & video, int frames, const Scale & scale);

} // namespace ltx2
