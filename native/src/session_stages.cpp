// From noise to latents: the stages of a recipe, each from what the one before it made.
#include "session.h"

#include "base/finite.h"
#include "sampling/noise.h"
#include "vae/image.h"
#include "vae/statistics.h"

#include <algorithm>

namespace ltx2 {

// An image becomes latents of one frame: at frame 0 in place of the first, else as tokens after the
// video's.
static void pin(Stream & stream, const ltx2_image & image, const Latents & latents,
                const std::vector<Position> & positions) {
    const std::vector<float> & values = latents.values;
    const float mask = 1 - image.strength;
    if (image.frame == 0) {
        std::copy(values.begin(), values.end(), stream.latents.begin());
        std::copy(values.begin(), values.end(), stream.clean.begin());
        std::fill_n(stream.mask.begin(), positions.size(), mask);
        return;
    }
    stream.latents.insert(stream.latents.end(), values.begin(), values.end());
    stream.clean.insert(stream.clean.end(), values.begin(), values.end());
    stream.mask.insert(stream.mask.end(), positions.size(), mask);
    stream.positions.insert(stream.positions.end(), positions.begin(), positions.end());
}

// Streams of noise: each stage has so many, for the video and its images, and from `fresh_noise` on
// for what its sampler adds.
static constexpr uint32_t stage_noise = 1u << 24, fresh_noise = 1u << 23;

// How many values of noise a stage takes: for the video, and for the images at later frames.
static int64_t noise_size(const Request & want, size_t stage, int channels, bool with_images) {
    const Grid & grid = want.stages[stage].grid;
    int64_t cells = grid.cells();
    for (const ltx2_image & image : want.images)
        cells += with_images && image.frame > 0 ? grid.frame_cells() : 0;
    return cells * channels;
}

// Where the caller's noise for a stage begins, or null: it is for the first stage, or for all.
static const float * noise_given(const Request & want, size_t stage, int channels,
                                 int64_t & count) {
    const Grid & grid = want.stages[0].grid;
    const int64_t given = static_cast<int64_t>(want.noise_count);
    const int64_t video = noise_size(want, 0, channels, false);
    int64_t all = 0, before = 0;
    for (size_t i = 0; i < want.stages.size(); ++i) {
        before += i < stage ? noise_size(want, i, channels, true) : 0;
        all += noise_size(want, i, channels, true);
    }
    const int64_t first = noise_size(want, 0, channels, true);
    if (given && given != video && given != first && given != all)
        fail(LTX2_STATUS_INVALID_ARGUMENT,
             "noise: %zu values given, and %d x %d x %d x %d are wanted", want.noise_count,
             channels, grid.frames, grid.height, grid.width);
    count = given == all ? noise_size(want, stage, channels, true) : stage == 0 ? given : 0;
    return count ? want.noise + (given == all ? before : 0) : nullptr;
}

// The caller's noise, or the seed's: for the video, then for each image at a later frame.
static std::vector<float> noise_of(const Request & want, size_t stage, const Stream & stream) {
    const Grid & grid = want.stages[stage].grid;
    const int64_t channels = stream.channels, video = grid.cells() * channels;
    const int64_t all = stream.tokens() * channels, one = grid.frame_cells() * channels;
    int64_t count_given = 0;
    const float * given = noise_given(want, stage, stream.channels, count_given);
    const uint32_t first_stream = static_cast<uint32_t>(stage) * stage_noise;
    std::vector<float> noise;
    for (int64_t first = 0, i = 0; first < all; first += i ? one : video, ++i) {
        const int64_t count = i ? one : video;
        const std::vector<float> planes =
            first < count_given
                ? std::vector<float>(given + first, given + first + count)
                : normal_noise(want.seed, first_stream + static_cast<uint32_t>(i), count);
        const std::vector<float> part =
            from_planes(planes.data(), count / channels, stream.channels);
        noise.insert(noise.end(), part.begin(), part.end());
    }
    if (!all_finite(noise))
        fail(LTX2_STATUS_INVALID_ARGUMENT, "noise: holds a value that is not finite");
    return noise;
}

// Where the latents begin: nothing, and what the images give.
Stream Session::start(const Request & want, const Grid & grid, const Latents & before,
                      const Progress & progress) {
    Stream video;
    video.channels = static_cast<int>(decoder_.latent_channels);
    video.latents = before.values;
    video.latents.resize(static_cast<size_t>(grid.cells() * video.channels), 0.0f);
    video.clean = video.latents;
    video.mask.assign(static_cast<size_t>(grid.cells()), 1.0f);
    video.positions = video_positions(grid, decoder_.scale, want.fps);
    const VideoSize size = size_of(grid);
    for (size_t i = 0; i < want.images.size(); ++i) {
        progress("image", static_cast<int>(i), static_cast<int>(want.images.size()));
        const ltx2_image & image = want.images[i];
        const std::vector<float> pixels =
            cover(image.pixels, image.width, image.height, size.width, size.height);
        const Latents latents = encode(pixels, {1, size.height, size.width},
                                       words("encoding image %zu", i + 1), progress);
        pin(video, image, latents, keyframe_positions(grid, decoder_.scale, want.fps, image.frame));
    }
    return video;
}

Latents Session::enlarge(const Latents & latents, const Progress & progress) {
    const Part & part = model_.need(Upsampler::part);
    const LatentStatistics statistics(model_.need(VideoDecoder::part), decoder_.latent_channels);
    Latents as_the_vae_has_them = latents;
    statistics.restore(as_the_vae_has_them);
    Latents large = use<Upsampler>(progress).enlarge(as_the_vae_has_them, progress);
    statistics.normalise(large);
    check(large.values, "enlarging the latents", {{part}}, progress);
    return large;
}

// The latents that the caller's run had come to, in place of those it begins with.
static void go_on(const ltx2_state & from, Stream & video) {
    const size_t size = video.latents.size();
    if (from.count != size && from.count != 2 * size)
        fail(LTX2_STATUS_INVALID_ARGUMENT,
             "resume: %zu values given, and %zu are wanted; it was another video", from.count,
             size);
    video.latents.assign(from.values, from.values + size);
    video.memory.assign(from.values + size, from.values + from.count);
    if (!all_finite(video.latents) || !all_finite(video.memory))
        fail(LTX2_STATUS_INVALID_ARGUMENT, "resume: holds a value that is not finite");
}

// Tells the caller where the run is.
static void tell(const Request & want, const Grid & grid, const Stream & video, int step,
                 const std::vector<float> & predicted) {
    if (!want.state)
        return;
    const std::vector<float> planes = to_planes(predicted.data(), grid.cells(), video.channels);
    const ltx2_latents shape = {planes.data(), video.channels, grid.frames, grid.height,
                                grid.width};
    std::vector<float> values = video.latents;
    values.insert(values.end(), video.memory.begin(), video.memory.end());
    const ltx2_state now = {step, values.data(), values.size(), &shape};
    if (!ask("state", want.state, now, want.user_data))
        fail(LTX2_STATUS_CANCELLED, "denoise: cancelled after step %d", step);
}

void Session::denoise(const Request & want, size_t index, const std::vector<TextFeatures> & texts,
                      State & state, const Progress & progress) {
    const Stage & stage = want.stages[index];
    int before = 0; // steps of earlier stages
    for (size_t i = 0; i < index; ++i)
        before += want.stages[i].steps();
    if (stage.first == 0)
        state.front().add_noise(noise_of(want, index, state.front()), stage.noise);
    model_.set_strengths(stage.distilled);
    const Dit & dit = use<Dit>(progress);
    const Guidance & guidance = stage.guidance;
    DitRun run(dit, state.front().positions, texts[0],
               guidance.uses_negative() ? &texts[1] : nullptr,
               guidance.uses_stg() ? guidance.stg_blocks : std::vector<int>());
    const std::vector<Suspect> weights = {{model_.need(Dit::part)}};
    int step = stage.first;
    const auto check_step = [&](const std::vector<float> & values) {
        check(values, words("denoising step %d of %d", step, stage.steps()), weights, progress);
    };
    const auto velocity = [&](const State & now, float sigma) {
        Velocities v = run.velocity(now, sigma, progress);
        ++step;
        for (const auto * pass : {&v.plain, &v.negative, &v.perturbed})
            for (const std::vector<float> & values : *pass)
                check_step(values);
        return v;
    };
    const auto noise = [&](int draw, size_t stream) {
        const uint32_t which = static_cast<uint32_t>(index) * stage_noise + fresh_noise;
        return normal_noise(want.seed, which + static_cast<uint32_t>(draw),
                            static_cast<int64_t>(state[stream].latents.size()));
    };
    ltx2::denoise(state, stage, progress, velocity, noise,
                  [&](int done, const std::vector<float> & predicted) {
                      check_step(state.front().latents);
                      tell(want, stage.grid, state.front(), before + done, predicted);
                  });
}

// All stages; where the device counts, one step of each stands for all, which are alike.
Latents Session::sample(const Request & want, const std::vector<TextFeatures> & texts,
                        const Progress & progress) {
    Latents latents;
    for (size_t i = 0; i < want.stages.size(); ++i) {
        const Stage & stage = want.stages[i];
        const bool resumed = want.resume && stage.first > 0;
        if (resumed && i + 1 < want.stages.size() && want.stages[i + 1].first > 0)
            continue; // a later one has begun
        if (i > 0 && !resumed)
            latents = enlarge(latents, progress);
        State state = {start(want, stage.grid, resumed ? Latents() : latents, progress)};
        if (resumed)
            go_on(*want.resume, state.front());
        if (Tally * tally = device_.tally()) {
            Request one = want;
            one.stages[i].sigmas.resize(2);
            one.stages[i].first = 0;
            one.state = nullptr;
            tally->times = stage.steps() - stage.first;
            if (tally->times)
                denoise(one, i, texts, state, progress);
            tally->times = 1;
        } else if (stage.first < stage.steps()) {
            denoise(want, i, texts, state, progress);
        }
        latents = {stage.grid, state.front().channels, std::move(state.front().latents)};
        latents.values.resize(static_cast<size_t>(latents.size())); // without the images' tokens
    }
    return latents;
}

} // namespace ltx2
