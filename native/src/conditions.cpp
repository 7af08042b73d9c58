#include "conditions.h"

#include "audio/resample.h"
#include "base/error.h"
#include "base/utf8.h"

#include <algorithm>
#include <cmath>

namespace ltx2 {

static constexpr int largest_side = 1 << 15;

// 8k + 1 of so many frames, or none.
static int whole(int frames, const Scale & scale) {
    return frames < 1 ? 0 : (frames - 1) / scale.time * scale.time + 1;
}

static void check_share(const char * name, size_t i, const char * field, float & value) {
    if (value == 0)
        value = 1;
    if (!(value > 0 && value <= 1))
        fail(LTX2_STATUS_INVALID_ARGUMENT, "%s[%zu].%s: %g is not in 0..1", name, i, field, value);
}

static void check_clip(const std::string & name, const ltx2_clip & clip) {
    if (!clip.pixels || clip.frames < 1 || clip.width < 1 || clip.height < 1 ||
        clip.width > largest_side || clip.height > largest_side)
        fail(LTX2_STATUS_INVALID_ARGUMENT, "%s: no pixels, %d frames, or %d x %d is not in 1..%d",
             name.c_str(), clip.frames, clip.width, clip.height, largest_side);
}

static std::vector<ltx2_image> images_of(const ltx2_video_params & p, int frames) {
    std::vector<ltx2_image> images;
    if (p.image_count)
        need(p.images, "images");
    if (p.image_count > static_cast<size_t>(frames))
        fail(LTX2_STATUS_INVALID_ARGUMENT, "images: %zu given for %d frames", p.image_count,
             frames);
    for (size_t i = 0; i < p.image_count; ++i) {
        ltx2_image image = p.images[i];
        if (!image.pixels || image.width < 1 || image.height < 1 || image.width > largest_side ||
            image.height > largest_side)
            fail(LTX2_STATUS_INVALID_ARGUMENT, "images[%zu]: no pixels, or %d x %d is not in 1..%d",
                 i, image.width, image.height, largest_side);
        if (image.frame < 0 || image.frame >= frames)
            fail(LTX2_STATUS_INVALID_ARGUMENT, "images[%zu].frame: %d is not in 0..%d", i,
                 image.frame, frames - 1);
        check_share("images", i, "strength", image.strength);
        for (const ltx2_image & other : images)
            if (other.frame == image.frame)
                fail(LTX2_STATUS_INVALID_ARGUMENT, "images[%zu].frame: %d has an image already", i,
                     image.frame);
        images.push_back(image);
    }
    return images;
}

static std::vector<ltx2_reference> references_of(const ltx2_video_params & p) {
    std::vector<ltx2_reference> references;
    const size_t most = 16;
    const int largest_factor = 64;
    if (p.reference_count)
        need(p.references, "references");
    if (p.reference_count > most)
        fail(LTX2_STATUS_INVALID_ARGUMENT, "references: %zu given, and %zu are the most",
             p.reference_count, most);
    for (size_t i = 0; i < p.reference_count; ++i) {
        ltx2_reference reference = p.references[i];
        check_clip(words("references[%zu]", i), reference.clip);
        check_share("references", i, "strength", reference.strength);
        check_share("references", i, "attention", reference.attention);
        if (reference.downscale < 0 || reference.downscale > largest_factor ||
            reference.temporal < 0 || reference.temporal > largest_factor)
            fail(LTX2_STATUS_INVALID_ARGUMENT,
                 "references[%zu]: downscale %d or temporal %d is not in 1..%d", i,
                 reference.downscale, reference.temporal, largest_factor);
        references.push_back(reference);
    }
    return references;
}

static void check_sound(const ltx2_sound & sound) {
    const int64_t most = int64_t{1} << 31;
    if (!sound.samples || sound.count < 1 || sound.count > most)
        fail(LTX2_STATUS_INVALID_ARGUMENT, "sound: %lld samples are not in 1..%lld",
             static_cast<long long>(sound.samples ? sound.count : 0), static_cast<long long>(most));
    if (sound.channels < 1 || sound.channels > 64 || sound.sample_rate < 1 ||
        sound.sample_rate > most_rate)
        fail(LTX2_STATUS_INVALID_ARGUMENT,
             "sound: %d channels are not in 1..64, or %d samples a second not in 1..%d",
             sound.channels, sound.sample_rate, most_rate);
    need(sound.samples, "sound.samples");
}

Conditions::Conditions(const ltx2_video_params & p, int frames, const Scale & scale)
    : images(images_of(p, frames)), keyframes(p.keyframes), references(references_of(p)),
      source(p.source), sound(p.sound), begin(p.begin), from(p.retake_start), to(p.retake_end),
      scale(scale) {
    const bool given = source || sound, asks = from != 0 || to != 0 || p.retake_what;
    if (source) {
        need(source, "source");
        check_clip("source", *source);
    }
    if (sound) {
        need(sound, "sound");
        check_sound(*sound);
    }
    if ((begin || asks) && !given)
        fail(LTX2_STATUS_INVALID_ARGUMENT, "%s: of what? there is no source and no sound",
             begin ? "begin" : "retake");
    if (begin < 0 || begin >= frames || begin % scale.time)
        fail(LTX2_STATUS_INVALID_ARGUMENT, "begin: %d is not a multiple of %d in 0..%d", begin,
             scale.time, frames - 1);
    if (asks && !(std::isfinite(from) && std::isfinite(to) && from >= 0 && from < to))
        fail(LTX2_STATUS_INVALID_ARGUMENT,
             "retake_start, retake_end: %g..%g are no seconds of the video", from, to);
    const std::string what = p.retake_what ? p.retake_what : "";
    if (!what.empty() && what != "video" && what != "audio")
        fail(LTX2_STATUS_INVALID_ARGUMENT, "retake_what: %s is neither video nor audio",
             shown(what).c_str());
    retakes_video = what != "audio";
    retakes_sound = what != "video";
    if (source && begin > 0 && source_frames(frames) == 1)
        fail(LTX2_STATUS_INVALID_ARGUMENT,
             "source: %d frames from frame %d on, of %d; %d are the least where it does not begin "
             "the video",
             source->frames, begin, frames, scale.time + 1);
}

int Conditions::source_frames(int frames) const {
    return source ? whole(std::min(source->frames, frames - begin), scale) : 0;
}

std::vector<int> frames_of(const ltx2_reference & reference, int frames, const Scale & scale) {
    std::vector<int> chosen = {0};
    const int step = std::max(1, reference.temporal);
    for (int i = 1; i < std::min(reference.clip.frames, frames); i += step)
        chosen.push_back(i);
    chosen.resize(static_cast<size_t>(whole(static_cast<int>(chosen.size()), scale)));
    return chosen;
}

Grid grid_of(const ltx2_reference & reference, const Grid & video, int frames,
             const Scale & scale) {
    const int factor = std::max(1, reference.downscale);
    const int used = static_cast<int>(frames_of(reference, frames, scale).size());
    return {(used - 1) / scale.time + 1, std::max(1, video.height / factor),
            std::max(1, video.width / factor)};
}

std::vector<ltx2_image> Conditions::images_in(const Stage & stage) const {
    std::vector<ltx2_image> there;
    for (ltx2_image image : images) {
        image.frame = (image.frame << stage.doubled) - stage.part.first * scale.time;
        if (image.frame >= 0 && image.frame <= (stage.grid.frames - 1) * scale.time)
            there.push_back(image);
    }
    return there;
}

std::vector<Grid> Conditions::appended(const Stage & stage, bool first_stage) const {
    const Grid & video = stage.grid;
    const std::vector<ltx2_image> there = images_in(stage);
    const auto images_after = std::count_if(
        there.begin(), there.end(), [&](const ltx2_image & image) { return is_appended(image); });
    std::vector<Grid> grids(static_cast<size_t>(images_after) + stage.part.anchors.size() +
                                stage.slots.size(),
                            {1, video.height, video.width});
    if (stage.downscale)
        grids.push_back(stage.before);
    const int frames = (video.frames - 1) * scale.time + 1;
    for (const ltx2_reference & reference : references)
        if (first_stage)
            grids.push_back(grid_of(reference, video, frames, scale));
    return grids;
}

} // namespace ltx2
