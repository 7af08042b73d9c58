// What a run begins with: nothing, and what it is given: pictures, reference videos, parts of a
// video and a sound that are there already.
#include "session.h"

#include "audio/mel.h"
#include "audio/resample.h"
#include "base/finite.h"
#include "vae/image.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace ltx2 {

// Tokens after the video's. They begin as they are given, or as nothing.
static void append(Stream & stream, const Latents & latents, float strength,
                   const std::vector<Position> & positions, bool begins_given = true) {
    const std::vector<float> & values = latents.values;
    stream.latents.insert(stream.latents.end(), values.begin(), values.end());
    if (!begins_given)
        std::fill_n(stream.latents.rbegin(), values.size(), 0.0f);
    stream.clean.insert(stream.clean.end(), values.begin(), values.end());
    stream.mask.insert(stream.mask.end(), positions.size(), 1 - strength);
    stream.positions.insert(stream.positions.end(), positions.begin(), positions.end());
}

// After them, of frames that are made besides: from what `before` has of each, or from nothing.
static void append_slots(Stream & stream, const Stage & stage, const Scale & scale,
                         const Latents & before) {
    const size_t first = stream.mask.size();
    for (int frame : stage.slots)
        append(stream, {}, 0, keyframe_positions(stage.grid, scale, stage.fps, frame));
    const size_t all = stream.mask.size() * static_cast<size_t>(stream.channels);
    stream.latents.insert(stream.latents.end(), before.values.begin(), before.values.end());
    stream.latents.resize(all, 0.0f);
    stream.clean.resize(all, 0.0f);
    stream.single_frames.resize(first, 0.0f);
    stream.single_frames.resize(stream.mask.size(), 1.0f);
}

// Of frames that an earlier stage made.
static void append_anchors(Stream & stream, const Stage & stage, const Scale & scale,
                           const Keyframes & made) {
    for (int frame : stage.part.anchors)
        append(
            stream, {{}, stream.channels, made.at(frame)}, stage.anchored,
            keyframe_positions(stage.grid, scale, stage.fps, frame - stage.part.first * scale.time),
            stage.begins_given);
}

// What the stage begins with, of what is made already: the video, or its part of it.
static Latents video_before(const Stage & stage, const Sampled & made) {
    if (!stage.tiles)
        return made.video;
    Latents part{stage.grid, made.canvas.channels, {}};
    const int64_t frame = stage.grid.frame_cells() * part.channels;
    const float * first = made.canvas.values.data() + stage.part.first * frame;
    part.values.assign(first, first + stage.grid.frames * frame);
    return part;
}

// The same of the keyframes that it makes: those of the stage before, or frames of the video.
static Latents slots_before(const Stage & stage, const Scale & scale, const Sampled & made,
                            const Latents & video) {
    Latents slots{{}, video.channels, {}};
    const int64_t size = stage.grid.frame_cells() * slots.channels;
    for (int frame : stage.slots) {
        const int nearest = std::min(stage.grid.frames - 1, frame / scale.time);
        if (stage.tiles)
            slots.values.insert(slots.values.end(), video.values.begin() + nearest * size,
                                video.values.begin() + (nearest + 1) * size);
        else if (const auto at = made.keyframes.find(frame); at != made.keyframes.end())
            slots.values.insert(slots.values.end(), at->second.begin(), at->second.end());
    }
    return slots;
}

// In place of the video's own, from `first` on, which also begin so, or stay what they begin with.
static void replace(Stream & stream, int64_t first, const float * values, int64_t count,
                    float strength, bool begins_given = true) {
    const int64_t at = first * stream.channels;
    if (begins_given)
        std::copy_n(values, count * stream.channels, stream.latents.begin() + at);
    std::copy_n(values, count * stream.channels, stream.clean.begin() + at);
    std::fill_n(stream.mask.begin() + first, count, 1 - strength);
}

// The tokens of each reference, and how far they and the video's see each other; no groups where
// all see all. What came before the first that is not seen whole sees each other.
static std::vector<TokenGroup> groups_of(const Conditions & conditions, const Stage & stage) {
    const std::vector<Grid> appended = conditions.appended(stage, /*first_stage=*/true);
    const size_t before = appended.size() - conditions.references.size();
    std::vector<TokenGroup> groups = {{stage.grid.cells()}, {0}};
    for (size_t i = 0; i < appended.size(); ++i) {
        const float share = i < before ? 1 : conditions.references[i - before].attention;
        if (share == 1 && groups.size() == 2)
            groups[1].tokens += appended[i].cells();
        else
            groups.push_back({appended[i].cells(), share});
    }
    if (groups.size() == 2)
        return {};
    if (groups[1].tokens == 0)
        groups.erase(groups.begin() + 1);
    return groups;
}

Latents Session::encode(const ltx2_clip & clip, const std::vector<int> & frames, const Grid & grid,
                        const std::string & where, const Progress & progress) {
    const VideoSize size{static_cast<int>(frames.size()), grid.height * decoder_.scale.space,
                         grid.width * decoder_.scale.space};
    const size_t count = size_t{3} * static_cast<size_t>(clip.height) * clip.width;
    std::vector<float> pixels;
    if (!device_.tally()) {
        pixels.reserve(size.values());
        for (int frame : frames) {
            const std::vector<float> one = cover(clip.pixels + count * static_cast<size_t>(frame),
                                                 clip.width, clip.height, size.width, size.height);
            pixels.insert(pixels.end(), one.begin(), one.end());
        }
    }
    return encode(std::move(pixels), size, where, progress);
}

// A source that does not begin the video gives its latents but the first, which stands for one
// frame where there are more now.
void Session::keep_source(const Request & want, const Grid & grid, Stream & video,
                          const Progress & progress) {
    const Conditions & given = want.conditions;
    const Scale & scale = decoder_.scale;
    std::vector<int> frames(static_cast<size_t>(given.source_frames(want.frames)));
    std::iota(frames.begin(), frames.end(), 0);
    const Latents latents = encode(*given.source, frames, grid, "encoding the source", progress);
    const int first = given.begin > 0 ? 1 : 0, shift = given.begin / scale.time;
    for (int f = first; f < latents.grid.frames; ++f) {
        const int at = f + shift;
        const float start = static_cast<float>(scale.first_frame(at));
        const float end = static_cast<float>(scale.first_frame(at + 1));
        if (!(given.retakes_video && given.retakes(start / want.fps, end / want.fps)))
            replace(video, grid.frame_cells() * at,
                    latents.values.data() + f * grid.frame_cells() * video.channels,
                    grid.frame_cells(), 1);
    }
}

Stream Session::start(const Request & want, size_t index, const Sampled & made,
                      const Progress & progress) {
    const Stage & stage = want.stages[index];
    const Grid & grid = stage.grid;
    const Conditions & given = want.conditions;
    const Latents before = video_before(stage, made);
    Stream video;
    video.channels = static_cast<int>(decoder_.latent_channels);
    video.latents = before.values;
    video.latents.resize(static_cast<size_t>(grid.cells() * video.channels), 0.0f);
    video.clean = video.latents;
    const Counted held = device_.hold(
        (before.values.size() + video.latents.size() + video.clean.size()) * sizeof(float));
    video.mask.assign(static_cast<size_t>(grid.cells()), 1.0f);
    video.positions = video_positions(grid, decoder_.scale, stage.fps);
    video.single_frames.assign(static_cast<size_t>(grid.frame_cells()), 1.0f);
    const std::vector<ltx2_image> images = given.images_in(stage);
    const size_t references = index == 0 ? given.references.size() : 0;
    const int all = static_cast<int>(images.size() + references + (given.source ? 1 : 0));
    int done = 0;
    if (given.source) {
        progress("image", done++, all);
        keep_source(want, grid, video, progress);
    }
    const VideoSize size = size_of(grid);
    for (size_t i = 0; i < images.size(); ++i) {
        progress("image", done++, all);
        const ltx2_image & image = images[i];
        std::vector<float> pixels;
        if (!device_.tally())
            pixels = cover(image.pixels, image.width, image.height, size.width, size.height);
        const Latents latents = encode(std::move(pixels), {1, size.height, size.width},
                                       words("encoding image %zu", i + 1), progress);
        if (given.is_appended(image))
            append(video, latents, image.strength,
                   keyframe_positions(grid, decoder_.scale, stage.fps, image.frame),
                   stage.begins_given);
        else
            replace(video, 0, latents.values.data(), grid.frame_cells(), image.strength,
                    stage.begins_given);
    }
    append_anchors(video, stage, decoder_.scale, made.keyframes);
    append_slots(video, stage, decoder_.scale, slots_before(stage, decoder_.scale, made, before));
    if (stage.downscale)
        append(video, made.smaller, 1,
               video_positions(stage.before, decoder_.scale, stage.fps, stage.downscale));
    for (size_t i = 0; i < references; ++i) {
        progress("image", done++, all);
        const ltx2_reference & reference = given.references[i];
        const Grid own = grid_of(reference, grid, want.frames, decoder_.scale);
        const Latents latents =
            encode(reference.clip, frames_of(reference, want.frames, decoder_.scale), own,
                   words("encoding reference %zu", i + 1), progress);
        append(video, latents, reference.strength,
               video_positions(own, decoder_.scale, want.fps, reference.downscale,
                               reference.temporal));
    }
    if (references)
        video.groups = groups_of(given, stage);
    video.single_frames.resize(video.mask.size(), 0.0f);
    return video;
}

// ---- the sound

// No recording is louder: what is has another scale.
static constexpr float loudest = 1000;

Sound sound_of(const Request & want) {
    const ltx2_sound & given = *want.conditions.sound;
    const double length = want.frames / double{want.fps};
    const double most = std::ceil(length * std::max(1, given.sample_rate));
    Sound sound =
        as_stereo(given.samples, std::min(given.count, static_cast<int64_t>(std::max(1.0, most))),
                  given.channels, given.sample_rate);
    if (!all_finite(sound.samples))
        fail(LTX2_STATUS_INVALID_ARGUMENT, "sound: holds a value that is not finite");
    for (float sample : sound.samples)
        if (std::abs(sample) > loudest)
            fail(LTX2_STATUS_INVALID_ARGUMENT,
                 "sound: holds %g, and samples are in -1..1; divide those of 16 bits by 32768",
                 double{sample});
    const size_t end = 2 * static_cast<size_t>(std::llrint(length * sound.rate));
    if (sound.samples.size() > end)
        sound.samples.resize(end);
    return sound;
}

// As the encoder takes it; one that begins later has silence before it.
static Sound encoders_sound(const Request & want) {
    Sound sound = sound_of(want);
    if (want.conditions.begin == 0)
        return sound;
    constexpr int rate = 16000;
    sound.samples = resample(sound.samples, sound.rate, rate, Outside::zeros);
    sound.rate = rate;
    const double later = want.conditions.begin / double{want.fps},
                 all = want.frames / double{want.fps};
    const auto samples = [](double seconds) {
        return 2 * static_cast<size_t>(std::llrint(seconds * rate));
    };
    sound.samples.insert(sound.samples.begin(), samples(later), 0.0f);
    sound.samples.resize(std::min(sound.samples.size(), samples(all)));
    return sound;
}

// Whether a latent of the sound is given: as far as the source goes, or the sound alone, where
// nothing is made anew.
static bool keeps_sound(const Request & want, int64_t token, int64_t encoded) {
    const Conditions & given = want.conditions;
    const float later = static_cast<float>(given.begin) / want.fps;
    const int frames = given.begin + given.source_frames(want.frames);
    const bool there = given.source ? sound_begins(token) < static_cast<float>(frames) / want.fps
                                    : token < encoded;
    return there && sound_begins(token) >= later &&
           !(given.retakes_sound && given.retakes(sound_begins(token), sound_begins(token + 1)));
}

Latents Session::encode_sound(const Request & want, const Progress & progress) {
    AudioEncoder & encoder = use<AudioEncoder>(progress);
    const Spectrogram spectrogram =
        encoder_spectrogram(encoders_sound(want), processor(), progress);
    Latents latents = encoder.encode(spectrogram, progress);
    check(latents.values, "encoding the sound", {{model_.need(AudioEncoder::part)}}, progress);
    return latents;
}

// Of a tile, as it is heard while the tile is shown, in as many tokens as that takes at the rate
// that it is told.
static std::vector<float> sound_before(const Request & want, const Stage & stage,
                                       const Scale & scale, const Latents & made) {
    if (!stage.tiles)
        return made.values;
    const double shown = double{want.fps} * (1 << stage.doubled);
    const int begin = stage.part.first * scale.time;
    const int frames = (stage.grid.frames - 1) * scale.time + 1;
    const Grid & first = want.stages.front().grid;
    const double all = ((first.frames - 1) * scale.time + 1) / double{want.fps};
    const int64_t tokens = made.grid.frames;
    return stretched(made.values, made.channels, begin / shown / all * static_cast<double>(tokens),
                     frames / shown / all * static_cast<double>(tokens), stage.sound_tokens);
}

Stream Session::start_sound(const Request & want, size_t index, const Latents & before,
                            const Latents & given) const {
    Stream audio;
    const Stage & stage = want.stages[index];
    const int64_t tokens = stage.sound_tokens;
    audio.channels = audio_channels_;
    audio.latents = sound_before(want, stage, decoder_.scale, before);
    audio.latents.resize(static_cast<size_t>(tokens * audio.channels), 0.0f);
    audio.clean = audio.latents;
    audio.mask.assign(static_cast<size_t>(tokens), stage.tiles ? 0.0f : 1.0f);
    audio.positions = sound_positions(tokens);
    if (given.values.empty())
        return audio;
    std::vector<float> values = given.values;
    values.resize(audio.latents.size()); // a source that is longer than its sound is silent
    for (int64_t token = 0; token < tokens; ++token)
        if (keeps_sound(want, token, given.grid.frames))
            replace(audio, token, values.data() + token * audio.channels, 1, 1);
    return audio;
}

} // namespace ltx2
