// From noise to latents: the stages of a recipe, each from what the one before it made.
#include "session.h"

#include "base/finite.h"
#include "base/log.h"
#include "sampling/noise.h"
#include "vae/statistics.h"

#include <algorithm>
#include <numeric>

namespace ltx2 {

// Streams of noise: each stage has so many, for the video and its images, and from `fresh_noise` on
// for what its sampler adds; the sound has as many of both, so far from the video's.
static constexpr uint32_t stage_noise = 1u << 24, fresh_noise = 1u << 23, sound_noise = 1u << 22;

// How many values of noise a stage takes: for the video, then for each group of tokens after its
// own.
static std::vector<int64_t> noise_sizes(const Request & want, size_t stage, int channels) {
    const Stage & one = want.stages[stage];
    std::vector<int64_t> sizes = {one.grid.cells() * channels};
    for (const Grid & group : want.conditions.appended(one, stage == 0))
        sizes.push_back(group.cells() * channels);
    return sizes;
}

// The same of the first `stages`, and of their sound.
static int64_t noise_before(const Request & want, size_t stages, int channels) {
    int64_t tokens = 0;
    for (size_t i = 0; i < stages; ++i)
        tokens += want.tokens(i);
    return tokens * channels;
}
static int64_t sound_noise_before(const Request & want, size_t stages, int channels) {
    int64_t tokens = 0;
    for (size_t i = 0; i < stages; ++i)
        tokens += want.stages[i].sound_tokens;
    return tokens * channels;
}

// The caller's noise is for the first stage, or for all; then comes the sound's, if it is there.
struct GivenNoise {
    const float * values;
    bool fits, of_all, of_sound;
    int64_t count; // without the sound's

    GivenNoise(const Request & want, int channels, int audio_channels) : values(want.noise) {
        const size_t stages = want.stages.size();
        const int64_t given = static_cast<int64_t>(want.noise_count);
        const int64_t all = noise_before(want, stages, channels);
        of_sound = want.audio && given == all + sound_noise_before(want, stages, audio_channels);
        of_all = given == all || of_sound;
        fits = given == 0 || of_all || given == noise_before(want, 1, channels) ||
               given == noise_sizes(want, 0, channels).front();
        count = of_all ? all : given;
    }
};

// The caller's noise, or the seed's: for the video, then for each group of tokens after its own.
static std::vector<float> noise_of(const Request & want, size_t stage, int channels,
                                   const GivenNoise & given) {
    int64_t first = noise_before(want, stage, channels);
    uint32_t next_stream = static_cast<uint32_t>(stage) * stage_noise;
    std::vector<float> noise;
    for (const int64_t count : noise_sizes(want, stage, channels)) {
        const std::vector<float> planes =
            first < given.count
                ? std::vector<float>(given.values + first, given.values + first + count)
                : normal_noise(want.seed, next_stream, count);
        const std::vector<float> part = from_planes(planes.data(), count / channels, channels);
        noise.insert(noise.end(), part.begin(), part.end());
        first += count;
        ++next_stream;
    }
    return noise;
}

// The sound's: the last of the caller's where that is for all, or the seed's.
static std::vector<float> sound_noise_of(const Request & want, size_t index, const Stream & audio,
                                         const GivenNoise & given) {
    const uint32_t stream = static_cast<uint32_t>(index) * stage_noise + sound_noise;
    const int64_t count = static_cast<int64_t>(audio.latents.size());
    const int64_t first = given.count + sound_noise_before(want, index, audio.channels);
    const std::vector<float> planes =
        given.of_sound ? std::vector<float>(given.values + first, given.values + first + count)
                       : normal_noise(want.seed, stream, count);
    return from_planes(planes.data(), audio.tokens(), audio.channels);
}

Latents Session::enlarge(const Latents & latents, const char * id, const Progress & progress) {
    const Part & part = model_.need(id);
    const LatentStatistics statistics(model_.need(VideoDecoder::part), decoder_.latent_channels);
    Latents as_the_vae_has_them = latents;
    statistics.restore(as_the_vae_has_them);
    std::unique_ptr<Upsampler> & resident = std::get<std::unique_ptr<Upsampler>>(resident_);
    if (resident && resident->id() != std::string(id))
        resident.reset(); // of another kind
    Latents large = use<Upsampler>(progress, id).enlarge(as_the_vae_has_them, progress);
    statistics.normalise(large);
    check(large.values, "enlarging the latents", {{part}}, progress);
    return large;
}

// What earlier stages made that this one or a later one reads, and how many values that are. In a
// state that is told it comes before the latents of the stage.
struct Carrying {
    std::vector<float> * values;
    size_t count;
};
using Carried = std::vector<Carrying>;
static Carried carried(const Stage & stage, Sampled & made) {
    Carried all;
    const auto carry = [&](Latents & latents) {
        all.push_back({&latents.values, static_cast<size_t>(latents.size())});
    };
    if (!stage.keeps_sound)
        carry(made.audio);
    if (stage.downscale)
        carry(made.smaller);
    if (!stage.tiles)
        return all;
    carry(made.canvas);
    carry(made.video);
    const size_t frame = static_cast<size_t>(stage.grid.frame_cells() * made.canvas.channels);
    for (auto & [index, values] : made.keyframes)
        all.push_back({&values, frame});
    return all;
}
static size_t values_in(const Carried & all) {
    return std::accumulate(all.begin(), all.end(), size_t{0},
                           [](size_t sum, const Carrying & one) { return sum + one.count; });
}

// The stage begins with what was told of it. That is, in this order: `before` values that are
// carried, the latents of each modality, and, where the sampler has a memory, as many of that.
static void go_on(const ltx2_state & from, size_t before, State & state) {
    size_t size = 0;
    for (const Stream & stream : state)
        size += stream.latents.size();
    const float * next = from.values + before;
    for (Stream & stream : state) {
        std::copy_n(next, stream.latents.size(), stream.latents.begin());
        next += stream.latents.size();
    }
    for (Stream & stream : state)
        if (from.count > before + size) {
            stream.memory.assign(next, next + stream.latents.size());
            next += stream.latents.size();
        }
}

// Tells the caller where the run is.
static void tell(const Request & want, const Grid & grid, const Carried & before,
                 const State & state, int step, const std::vector<float> & predicted) {
    if (!want.state)
        return;
    const int channels = state.front().channels;
    const std::vector<float> planes = to_planes(predicted.data(), grid.cells(), channels);
    const ltx2_latents shape = {planes.data(), channels, grid.frames, grid.height, grid.width};
    std::vector<float> values;
    for (const Carrying & one : before)
        values.insert(values.end(), one.values->begin(), one.values->end());
    for (const Stream & stream : state)
        values.insert(values.end(), stream.latents.begin(), stream.latents.end());
    for (const Stream & stream : state)
        values.insert(values.end(), stream.memory.begin(), stream.memory.end());
    const ltx2_state now = {step, values.data(), values.size(), &shape};
    if (!ask("state", want.state, now, want.user_data))
        fail(LTX2_STATUS_CANCELLED, "denoise: cancelled after step %d", step);
}

// How strongly adapters count in a stage, until it ends, however it does: in all else that is
// computed they count as they are given.
class Session::Strengths {
public:
    Strengths(Model & model, const Request & want, size_t index) : model_(model) {
        const Stage & stage = want.stages[index];
        const float others = !want.conditions.references.empty() && index > 0 ? 0.0f : 1.0f;
        model.set_strengths(stage.distilled, others * stage.referring, others);
    }
    ~Strengths() { model_.set_strengths(1, 1, 1); }
    Strengths(const Strengths &) = delete;

private:
    Model & model_;
};

void Session::denoise(const Request & want, size_t index, const std::vector<TextFeatures> & texts,
                      Sampled & made, State & state, const Progress & progress) {
    const Stage & stage = want.stages[index];
    int before = 0; // steps of earlier stages
    for (size_t i = 0; i < index; ++i)
        before += want.stages[i].steps();
    if (stage.first == 0 && !device_.tally()) {
        const GivenNoise given(want, state[0].channels, audio_channels_);
        state[0].add_noise(noise_of(want, index, state[0].channels, given), stage.noise);
        if (want.audio)
            state[1].add_noise(sound_noise_of(want, index, state[1], given), stage.noise);
    }
    const Strengths strengths(model_, want, index);
    for (const Adapter & adapter : model_.adapters())
        if (adapter.strength != adapter.given && !device_.tally())
            log(Level::info, "%s: counts %g of its strength in stage %zu of %zu",
                adapter.path.c_str(), double{adapter.strength} / double{adapter.given}, index + 1,
                want.stages.size());
    std::unique_ptr<Dit> & resident = std::get<std::unique_ptr<Dit>>(resident_);
    if (resident && resident->config().audio.has_value() != want.audio)
        resident.reset(); // of another call
    const Dit & dit = use<Dit>(progress, want.audio);
    std::vector<TextFeatures> read; // prompt and negative prompt, of each modality
    for (size_t s = 0; s < state.size(); ++s)
        for (const TextFeatures & text : texts)
            read.push_back(s ? text.columns(context_width_, audio_width_)
                             : text.columns(0, context_width_));
    std::vector<DitInput> inputs;
    for (size_t s = 0; s < state.size(); ++s) {
        const Guidance & guidance = s ? stage.audio_guidance : stage.guidance;
        const bool negates = stage.uses_negative() && !(s && want.only_sound_is_given());
        inputs.push_back({state[s].positions, read[s * texts.size()],
                          negates ? &read[s * texts.size() + 1] : nullptr,
                          guidance.uses_stg() ? guidance.stg_blocks : std::vector<int>(),
                          state[s].groups});
    }
    DitRun run(dit, inputs, stage.uses_isolated());
    std::vector<Suspect> weights = {{model_.need(Dit::part)}};
    if (want.audio)
        weights.push_back({model_.need(Dit::audio_part)});
    int step = stage.first + 1; // from 1 on
    const auto check_step = [&](const std::vector<float> & values) {
        check(values, words("denoising step %d of %d", step, stage.steps()), weights, progress);
    };
    const auto velocity = [&](const State & now, float sigma) {
        Velocities v = run.velocity(now, sigma, progress);
        for (const auto * pass : {&v.plain, &v.negative, &v.perturbed, &v.isolated})
            for (const std::vector<float> & values : *pass)
                check_step(values);
        return v;
    };
    const auto noise = [&](int draw, size_t stream) {
        const uint32_t first = static_cast<uint32_t>(index) * stage_noise + fresh_noise;
        const uint32_t which = first + (stream ? sound_noise : 0);
        return normal_noise(want.seed, which + static_cast<uint32_t>(draw),
                            static_cast<int64_t>(state[stream].latents.size()));
    };
    ltx2::denoise(state, stage, progress, velocity, noise,
                  [&](int done, const std::vector<float> & predicted) {
                      for (const Stream & stream : state)
                          check_step(stream.latents);
                      ++step;
                      tell(want, stage.grid, carried(stage, made), state, before + done, predicted);
                  });
}

// Before the first of the stages that make something larger, or of twice the rate, of the same.
void Session::prepare(const Request & want, size_t index, Sampled & made,
                      const Progress & progress) {
    const Stage & stage = want.stages[index];
    if (index == 0 || stage.tile > 0)
        return;
    if (stage.tiles) {
        made.canvas = enlarge(made.video, Upsampler::temporal_part, progress);
        made.begin_tiles();
        return;
    }
    if (!stage.slots.empty()) { // as one video of theirs, as in the official code
        Latents all = made.video;
        all.grid.frames = static_cast<int>(made.keyframes.size());
        all.values.clear();
        for (const auto & [frame, values] : made.keyframes)
            all.values.insert(all.values.end(), values.begin(), values.end());
        all = enlarge(all, Upsampler::part, progress);
        const float * next = all.values.data();
        const int64_t size = all.grid.frame_cells() * all.channels;
        for (auto & [frame, values] : made.keyframes)
            values.assign(next, next + size), next += size;
    }
    if (stage.downscale)
        made.smaller = made.video;
    made.video = enlarge(made.video, Upsampler::part, progress);
}

size_t Sampled::bytes() const {
    size_t values = 0;
    for (const Latents * one : {&video, &smaller, &canvas, &audio})
        values += one->values.size();
    for (const auto & [frame, one] : keyframes)
        values += one.size();
    return values * sizeof(float);
}

// Of a stage under way: its streams, and what is told of it.
static size_t bytes_of(const Request & want, const State & state, const Carried & before) {
    size_t latents = 0;
    for (const Stream & stream : state)
        latents += stream.latents.size();
    const size_t own = 2 * latents; // with what is given
    const size_t told = values_in(before) + 2 * latents + state.front().latents.size();
    return (own + (want.state ? told : 0)) * sizeof(float);
}

// The video that there is now has twice the frames, and none of them is made.
void Sampled::begin_tiles() {
    video = {{0, canvas.grid.height, canvas.grid.width}, canvas.channels, {}};
    Keyframes later;
    for (auto & [frame, values] : keyframes)
        later[2 * frame] = std::move(values);
    keyframes = std::move(later);
}

// Of what a stage makes, the shape.
void Sampled::make_room(const Conditions & given, const Stage & stage, int channels) {
    if (!stage.tiles) {
        video = {{0, stage.grid.height, stage.grid.width}, channels, {}};
        keyframes.clear();
    }
    video.grid.frames += stage.grid.frames - stage.part.lead;
    for (int slot : stage.slots)
        keyframes.try_emplace(stage.part.first * given.scale.time + slot);
}

// What a stage made: the video, or a part of it, without what came after it, and keyframes.
void Sampled::take(const Conditions & given, const Stage & stage, int channels,
                   const std::vector<float> & latents) {
    make_room(given, stage, channels);
    const int64_t frame = stage.grid.frame_cells() * channels;
    const size_t others = given.appended(stage, /*first_stage=*/false).size() - stage.slots.size() -
                          (stage.downscale ? 1 : 0);
    const float * slot =
        latents.data() + (stage.grid.frames + static_cast<int64_t>(others)) * frame;
    video.values.insert(video.values.end(), latents.begin() + stage.part.lead * frame,
                        latents.begin() + stage.grid.frames * frame);
    for (int index : stage.slots) {
        std::vector<float> & own = keyframes.at(stage.part.first * given.scale.time + index);
        if (own.empty()) // the earlier tile's stay
            own.assign(slot, slot + frame);
        slot += frame;
    }
}

// As it is before a stage, without values.
static Sampled room_before(const Request & want, size_t index, int channels, int audio_channels) {
    Sampled made;
    for (size_t i = 0; i <= index; ++i) {
        const Stage & stage = want.stages[i];
        if (stage.tiles && stage.tile == 0) {
            made.canvas = made.video;
            made.canvas.grid.frames = 2 * made.video.grid.frames - 1;
            made.begin_tiles();
        }
        if (stage.downscale)
            made.smaller = made.video;
        if (i < index)
            made.make_room(want.conditions, stage, channels);
        if (i < index && stage.keeps_sound && want.audio)
            made.audio = {{static_cast<int>(stage.sound_tokens), 1, 1}, audio_channels, {}};
    }
    return made;
}

// The stage that a run goes on in: the last that has begun.
static size_t resumed_stage(const Request & want) {
    size_t index = 0;
    for (size_t i = 0; i < want.stages.size(); ++i)
        index = want.stages[i].first > 0 ? i : index;
    return index;
}

// By sizes alone, before any work. Of a length that is open they are not known yet.
void Session::check_given(const Request & want) const {
    const int channels = static_cast<int>(decoder_.latent_channels);
    const Grid & grid = want.stages[0].grid;
    if (!GivenNoise(want, channels, audio_channels_).fits)
        fail(LTX2_STATUS_INVALID_ARGUMENT,
             "noise: %zu values given, and %d x %d x %d x %d are wanted", want.noise_count,
             channels, grid.frames, grid.height, grid.width);
    if (!all_finite(want.noise, want.noise_count))
        fail(LTX2_STATUS_INVALID_ARGUMENT, "noise: holds a value that is not finite");
    if (!want.resume || want.length_is_open)
        return;
    const size_t index = resumed_stage(want), count = want.resume->count;
    const Stage & stage = want.stages[index];
    Sampled made = room_before(want, index, channels, audio_channels_);
    const size_t before = values_in(carried(stage, made));
    const size_t size =
        static_cast<size_t>(want.tokens(index) * channels + stage.sound_tokens * audio_channels_);
    if (count != before + size && count != before + 2 * size)
        fail(LTX2_STATUS_INVALID_ARGUMENT,
             "resume: %zu values given, and %zu are wanted; it was another video", count,
             before + size);
    if (!all_finite(want.resume->values, count))
        fail(LTX2_STATUS_INVALID_ARGUMENT, "resume: holds a value that is not finite");
}

// All stages; where the device counts, one step of each stands for all, which are alike.
Sampled Session::sample(const Request & want, const std::vector<TextFeatures> & texts,
                        const Progress & progress) {
    Sampled made;
    Latents given; // of the sound
    for (size_t i = 0; i < want.stages.size(); ++i) {
        const Stage & stage = want.stages[i];
        const bool resumed = want.resume && stage.first > 0;
        if (resumed && i < resumed_stage(want))
            continue;
        size_t before = 0; // values that are carried
        if (resumed) {
            made =
                room_before(want, i, static_cast<int>(decoder_.latent_channels), audio_channels_);
            const Carried all = carried(stage, made);
            before = values_in(all);
            const float * next = want.resume->values;
            for (const auto & [values, count] : all)
                values->assign(next, next + count), next += count;
        } else {
            const Counted held = device_.hold(made.bytes());
            prepare(want, i, made, progress);
        }
        Counted held = device_.hold(made.bytes());
        State state = {start(want, i, made, progress)};
        if (want.conditions.sound && given.values.empty() && counts_sound())
            given = encode_sound(want, progress); // once for all stages
        if (want.audio)
            state.push_back(start_sound(want, i, made.audio, given));
        if (resumed)
            go_on(*want.resume, before, state);
        held = device_.hold(made.bytes() + bytes_of(want, state, carried(stage, made)));
        if (Tally * tally = device_.tally()) {
            Request one = want;
            one.stages[i].sigmas.resize(2);
            one.stages[i].first = 0;
            one.state = nullptr;
            tally->times = stage.steps() - stage.first;
            if (tally->times)
                denoise(one, i, texts, made, state, progress);
            tally->times = 1;
        } else if (stage.first < stage.steps()) {
            denoise(want, i, texts, made, state, progress);
        }
        made.take(want.conditions, stage, state.front().channels, state.front().latents);
        made.sound_is_given = want.conditions.sound && state[1].is_given();
        if (want.audio && stage.keeps_sound)
            made.audio = {{static_cast<int>(state[1].tokens()), 1, 1},
                          audio_channels_,
                          std::move(state[1].latents)};
    }
    made.video.grid.frames = want.result().frames; // a canvas may have more
    made.video.values.resize(static_cast<size_t>(made.video.size()));
    return made;
}

} // namespace ltx2
