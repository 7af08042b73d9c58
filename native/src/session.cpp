#include "session.h"

#include "base/finite.h"
#include "base/log.h"
#include "sampling/noise.h"
#include "trace.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace ltx2 {

// What computing needs goes after each stage, the weights too unless they are kept.
void Session::leave() {
    if (!keep_loaded_)
        resident_ = decltype(resident_)();
    device_.trim();
    if (processor_)
        processor_->trim();
}

// Systems that promise more memory than they have end the process that believes them: what cannot
// fit is refused before the first byte is asked for, with what does fit.
void Session::fail_too_large(const VideoSize & size, double needed, double have,
                             const std::string & instead) const {
    fail(LTX2_STATUS_OUT_OF_MEMORY,
         "memory: %d frames of %d x %d need %.0f MiB, and there are %.0f MiB%s", size.frames,
         size.width, size.height, needed / (1 << 20), have / (1 << 20), instead.c_str());
}

void Session::check_pixels(const Grid & grid) const {
    const VideoSize size = size_of(grid);
    const double needed = device_.shares_memory() ? static_cast<double>(size.values()) : 0;
    const double have = static_cast<double>(device_.memory());
    if (have > 0 && needed > have)
        fail_too_large(size, needed, have, "");
}

// The frames that a grid of latents decodes to.
VideoSize Session::size_of(const Grid & grid) const {
    const Scale & scale = decoder_.scale;
    return {1 + (grid.frames - 1) * scale.time, grid.height * scale.space,
            grid.width * scale.space};
}

// ---- the stages

void Session::check(const std::vector<float> & values, const std::string & where,
                    const std::vector<Suspect> & suspects, const Progress & progress) const {
    model_.check_unchanged();
    if (!all_finite(values))
        fail_not_finite(where, suspects, progress);
}

const Tokenizer & Session::tokenizer() {
    if (!tokenizer_)
        tokenizer_ = std::make_unique<Tokenizer>(Tokenizer::open(model_.need(TextEncoder::part)));
    return *tokenizer_;
}

std::vector<TextFeatures> Session::encode(const Request & want, const Progress & progress) {
    if (want.features)
        return given(want);
    std::vector<std::string> prompts = {want.prompt};
    if (want.uses_negative())
        prompts.push_back(want.negative);
    std::vector<TextFeatures> texts;
    for (const std::string & prompt : prompts) { // one prompt's hidden states take up to 0.8 GB
        std::vector<int32_t> tokens = tokenizer().encode(prompt, text_length_ + 1);
        if (tokens.size() > static_cast<size_t>(text_length_)) {
            const bool negative = &prompt != &prompts[0];
            log(negative && !want.negative_given ? Level::debug : Level::warning,
                "%s: only its first %d tokens are read", negative ? "negative prompt" : "prompt",
                text_length_);
            tokens.pop_back();
        }
        const HiddenStates states = use<TextEncoder>(progress).encode(tokens, progress);
        std::vector<Suspect> weights = {{model_.need(TextEncoder::part)}};
        const auto project = [&](Connector & connector, const char * part) {
            weights.push_back({connector.projection()});
            weights.push_back({model_.need(part)});
            return connector.project(states, progress);
        };
        texts.push_back(project(use<Connector>(progress), Connector::part));
        if (want.audio || (want.length_is_open && makes_sound_))
            texts.back() = TextFeatures::side_by_side(
                texts.back(), project(use<AudioConnector>(progress), AudioConnector::part));
        check(texts.back().values, "encoding the prompt", weights, progress);
    }
    return texts;
}

Latents Session::encode(std::vector<float> pixels, const VideoSize & size,
                        const std::string & where, const Progress & progress) {
    const Counted held = device_.hold(size.values() * sizeof(float)); // or what is made of them
    Latents latents = use<VideoEncoder>(progress).encode(std::move(pixels), size.frames,
                                                         size.height, size.width, progress);
    const Part & part = model_.need(VideoEncoder::part);
    check(latents.values, where, {{part, "vae.encoder."}, {part, "vae.per_channel_statistics."}},
          progress);
    return latents;
}

static std::unique_ptr<Video> video_of(const Latents & latents, float fps) {
    auto video = std::make_unique<Video>();
    video->latent_data = to_planes(latents.values.data(), latents.grid.cells(), latents.channels);
    video->shape = {video->latent_data.data(), latents.channels, latents.grid.frames,
                    latents.grid.height, latents.grid.width};
    video->latents = &video->shape;
    video->fps = fps;
    return video;
}

// Whether a frame is of nearly one colour: the standard deviation of each channel is small.
static bool is_flat(const uint8_t * rgb, size_t bytes) {
    const double limit = 4, count = static_cast<double>(bytes) / 3;
    for (size_t channel = 0; channel < 3; ++channel) {
        double sum = 0, squares = 0;
        for (size_t i = channel; i < bytes; i += 3) {
            sum += rgb[i];
            squares += rgb[i] * rgb[i];
        }
        if (squares - sum * sum / count >= limit * limit * count)
            return false;
    }
    return true;
}

// The stream of a decoder's noise, far from those of the stages (session_stages.cpp).
static constexpr uint32_t decoder_noise = 1u << 21;

void Session::decode(const Latents & latents, uint64_t seed, Video & video,
                     const Progress & progress) {
    if (device_.tally() && &decoder_device() != &device_)
        return;                                           // another device's, which does not count
    VideoDecoder & decoder = use<VideoDecoder>(progress); // first: the DiT goes
    const auto [frames, height, width] = size_of(latents.grid);
    if (device_.tally()) {
        const Counted pixels = device_.hold(VideoSize{frames, height, width}.values());
        return decoder.decode(latents, {}, progress, {});
    }
    video.frames = frames, video.height = height, video.width = width;
    const size_t frame = size_t{3} * static_cast<size_t>(video.width) * video.height;
    video.pixel_data.resize(frame * static_cast<size_t>(video.frames));
    video.pixels = video.pixel_data.data();
    bool flat = true; // every frame so far: of a good video, the first one is looked at
    const auto noise = [&](int64_t first, int64_t count) {
        return normal_noise(seed, decoder_noise, first, count);
    };
    decoder.decode(
        latents, noise, progress, [&](const uint8_t * rows, int first, int count, bool finite) {
            if (!finite) {
                model_.check_unchanged();
                fail_not_finite(words("decoding frame %d", first),
                                {{model_.need(VideoDecoder::part), "vae.decoder."},
                                 {model_.need(VideoDecoder::part), "vae.per_channel_statistics."}},
                                progress);
            }
            std::memcpy(video.pixel_data.data() + frame * static_cast<size_t>(first), rows,
                        frame * static_cast<size_t>(count));
            for (int i = 0; flat && i < count; ++i)
                flat = is_flat(rows + frame * static_cast<size_t>(i), frame);
        });
    if (flat)
        log(Level::warning,
            "video: every frame is of nearly one colour, the first of red %d, green %d, blue %d; "
            "if "
            "that is not what was asked for, weights of %s or of another part are damaged",
            video.pixels[0], video.pixels[1], video.pixels[2],
            model_.need(VideoDecoder::part).file->path.c_str());
}

static void take(Sound sound, Video & video) {
    video.audio_data = std::move(sound.samples);
    video.audio = video.audio_data.data();
    video.audio_samples = static_cast<int64_t>(video.audio_data.size() / 2);
    video.sample_rate = sound.rate;
}

void Session::decode_sound(const Latents & latents, Video & video, const Progress & progress) {
    const Spectrogram spectrogram = use<AudioDecoder>(progress).decode(latents, progress);
    check(spectrogram.values, "decoding the sound", {{model_.need(AudioDecoder::part)}}, progress);
    Sound sound = use<Vocoder>(progress).sound(spectrogram, progress);
    check(sound.samples, "making the sound", {{model_.need(Vocoder::part)}}, progress);
    take(std::move(sound), video);
}

std::unique_ptr<Video> Session::generate(const ltx2_video_params & params) {
    const Leave leave{*this};
    return while_unchanged(model_, [&] { return make(params); });
}

// Factors that are left out are what the adapters were trained with.
void Session::fill_in(std::vector<ltx2_reference> & references) const {
    const auto stated = [&](const char * name, int Adapter::*factor) {
        const Adapter * first = nullptr;
        for (const Adapter & adapter : model_.adapters()) {
            if (first && adapter.*factor && adapter.*factor != first->*factor)
                fail(LTX2_STATUS_INVALID_ARGUMENT,
                     "references: %s was trained with a %s factor of %d, and %s of %d",
                     first->path.c_str(), name, first->*factor, adapter.path.c_str(),
                     adapter.*factor);
            first = first || !(adapter.*factor) ? first : &adapter;
        }
        return first ? first->*factor : 1;
    };
    for (ltx2_reference & reference : references) {
        if (!reference.downscale)
            reference.downscale = stated("downscale", &Adapter::downscale);
        if (!reference.temporal)
            reference.temporal = stated("temporal", &Adapter::temporal);
    }
}

// A stage may refer to the one before it by a LoRA that was trained with videos so much smaller.
void Session::refer(Request & want) const {
    const int ratio = want.reference_ratio();
    for (const Adapter & adapter : model_.adapters()) {
        if (!ratio || !adapter.downscale)
            continue;
        if (adapter.downscale != ratio)
            fail(LTX2_STATUS_INVALID_ARGUMENT,
                 "loras: %s was trained with a downscale factor of %d, and the recipe %s refers to "
                 "a video that is %d times smaller; leave it out",
                 adapter.path.c_str(), adapter.downscale, want.recipe.c_str(), ratio);
        want.refer();
    }
}

// A later stage is a few steps without guidance, which a dev model, whose schedule is ltx2,
// makes blurred alone.
void Session::check_distilled(const Request & want) const {
    const std::list<Adapter> & all = model_.adapters();
    const bool distils = std::any_of(all.begin(), all.end(),
                                     [](const Adapter & adapter) { return adapter.distils; });
    if (defaults_.schedule == "ltx2" && !distils)
        log(Level::warning,
            "recipe: %s ends as a distilled model does, and this is a dev model; give the LoRA "
            "that makes it one, as %s, or take the distilled model",
            want.recipe.c_str(), model_.generation().lora);
}

// That the upsampler makes the second stage's size of the first's.
void Session::check_enlarged(const Request & want) {
    const Grid &first = want.stages[0].grid, &second = want.stages[1].grid;
    const Grid made = Upsampler(model_, device_).enlarged(first);
    if (made.frames != second.frames || made.height != second.height || made.width != second.width)
        fail(LTX2_STATUS_MODEL,
             "%s: enlarges %d frames of %d x %d latents to %d of %d x %d, and the recipe %s wants "
             "%d of %d x %d; give the upsampler of twice the rows and columns",
             model_.need(Upsampler::part).file->path.c_str(), first.frames, first.width,
             first.height, made.frames, made.width, made.height, want.recipe.c_str(), second.frames,
             second.width, second.height);
}

double Session::predicted_seconds(const Request & want, const Progress & progress) {
    const TextFeatures text = given(want).front();
    const float told = use<DurationHead>(progress).log_seconds(text, progress);
    check({told}, "predicting the duration", {{model_.need(DurationHead::part)}}, progress);
    const double seconds = std::exp(double{told});
    log(Level::info, "duration: %.3g s, by the duration head", seconds);
    return std::clamp(seconds, DurationHead::least_seconds, DurationHead::most_seconds);
}

// What can be told before any work is. With features, a length that is open is told by these.
Request Session::request(const ltx2_video_params & params, const Progress & progress) {
    if (params.audio > 0 && !makes_sound_)
        fail(LTX2_STATUS_MODEL, "audio: the model makes no sound, for lack of %s",
             sound_lacks_.c_str());
    Request want(params, defaults_, decoder_.scale, makes_sound_);
    fill_in(want.conditions.references);
    want.check_references(decoder_.scale);
    refer(want);
    if (want.conditions.sound)
        sound_of(want); // is finite
    if (!want.stages.front().slots.empty() && !makes_slots_)
        fail(LTX2_STATUS_MODEL,
             "%s: %s makes no keyframes; the transformer of LTX-2.5, which has "
             "keyframes_abs_pos_embedding, does",
             params.generated_keyframes ? "generated_keyframes" : "recipe",
             model_.generation().name);
    decoder_.check(want.result());
    check_given(want);
    choose_residency(want.largest());
    if (!want.features)
        model_.need_all();
    if (want.stages.size() > 1) {
        check_enlarged(want);
        if (want.doublings)
            model_.need(Upsampler::temporal_part);
        check_distilled(want);
    }
    if (!want.length_is_open || !want.features)
        return want;
    const double seconds = predicted_seconds(want, progress);
    ltx2_video_params known = params;
    known.frames = frames_lasting(seconds, want.fps, decoder_.scale.time);
    const int most = ((most_frames(decoder_.scale) - 1) >> want.doublings) + 1;
    known.frames = std::max(want.frames, std::min(known.frames, most));
    Request told = request(known, progress);
    told.predicted_seconds = seconds;
    return told;
}

std::unique_ptr<Video> Session::make(const ltx2_video_params & params) {
    Progress progress(params.progress, params.user_data, &closed_);
    std::optional<Trace> trace;
    if (params.span)
        progress.watch = &trace.emplace(params.span, params.user_data);
    Request want = request(params, progress);
    check_pixels(want.result()); // at once; a plan says what would fit
    check_memory(want, progress);
    std::vector<TextFeatures> texts = encode(want, progress);
    std::optional<Features> features;
    if (want.length_is_open) { // from here on as if they had been given
        ltx2_video_params known = params;
        known.features = &features.emplace(std::move(texts));
        want = request(known, progress);
        check_memory(want, progress);
        texts = encode(want, progress);
    }
    const Sampled made = sample(want, texts, progress);
    std::unique_ptr<Video> video = video_of(made.video, want.result_fps());
    if (!ask("latents", params.latents, video->shape, params.user_data))
        fail(LTX2_STATUS_CANCELLED, "latents: cancelled before they are decoded");
    decode(made.video, want.seed, *video, progress);
    if (made.sound_is_given)
        take(sound_of(want), *video);
    else if (want.audio)
        decode_sound(made.audio, *video, progress);
    if (want.audio && !want.stages.back().keeps_sound) // of a video that was longer
        video->audio_samples =
            std::min(video->audio_samples,
                     static_cast<int64_t>(
                         std::llrint(video->frames / double{video->fps} * video->sample_rate)));
    if (trace)
        trace->end();
    return video;
}

// Bytes that a VAE takes for a value of a pixel, at most: roughly, for what need not be counted.
static constexpr double most_of_a_value = 32;

std::unique_ptr<Video> Session::decode(const ltx2_decode_params & params) {
    const Leave leave{*this};
    const ltx2_latents & given = *params.latents;
    Latents latents{{given.frames, given.height, given.width}, given.channels, {}};
    if (given.channels != decoder_.latent_channels)
        fail(LTX2_STATUS_INVALID_ARGUMENT, "latents: %d channels, and the model's have %lld",
             given.channels, static_cast<long long>(decoder_.latent_channels));
    decoder_.check(latents.grid);
    check_pixels(latents.grid);
    choose_residency(latents.grid);
    latents.values = from_planes(given.values, latents.grid.cells(), given.channels);
    if (!all_finite(latents.values))
        fail(LTX2_STATUS_INVALID_ARGUMENT, "latents: hold a value that is not finite");
    float fps = params.fps != 0 ? checked_fps(params.fps) : defaults_.fps;
    const Progress progress(params.progress, params.user_data, &closed_);
    const auto enlarged = [&](const Progress & asked) {
        if (!params.upscale)
            return latents;
        const bool in_time = model_.find(Upsampler::temporal_part) && !model_.find(Upsampler::part);
        return enlarge(latents, in_time ? Upsampler::temporal_part : Upsampler::part, asked);
    };
    const VideoSize size = size_of(latents.grid);
    const double rough = most_of_a_value * static_cast<double>(size.values());
    return while_unchanged(model_, [&] {
        check_memory(words("decoding %d frames of %d x %d", size.frames, size.width, size.height),
                     params.upscale ? 4 * rough : rough, progress, [&](const Progress & counted) {
                         Video none;
                         decode(enlarged(counted), params.seed, none, counted);
                     });
        latents = enlarged(progress);
        check_pixels(latents.grid);
        if (latents.grid.frames > given.frames) // twice as many, in the same time
            fps *= 2;
        std::unique_ptr<Video> video = video_of(latents, fps);
        decode(latents, params.seed, *video, progress);
        return video;
    });
}

std::unique_ptr<Video> Session::encode(const ltx2_frames_params & params) {
    const Leave leave{*this};
    const Progress progress(params.progress, params.user_data, &closed_);
    const Scale & scale = decoder_.scale;
    check_size("frames", params.frames, params.height, params.width, 16384);
    check_pixels({params.frames / scale.time + 1, params.height / scale.space + 1,
                  params.width / scale.space + 1});
    choose_residency({});
    const VideoSize size{params.frames, params.height, params.width};
    return while_unchanged(model_, [&] {
        check_memory(words("encoding %d frames of %d x %d", size.frames, size.width, size.height),
                     most_of_a_value * static_cast<double>(size.values()), progress,
                     [&](const Progress & counted) {
                         counted("image", 0, 1);
                         encode(std::vector<float>(), size, "", counted);
                     });
        progress("image", 0, 1);
        std::vector<float> pixels(size.values());
        for (size_t i = 0; i < pixels.size(); ++i)
            pixels[i] = static_cast<float>(params.pixels[i]) / 127.5f - 1;
        return video_of(encode(std::move(pixels), size, "encoding the frames", progress),
                        defaults_.fps);
    });
}

} // namespace ltx2
