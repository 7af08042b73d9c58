#include "session.h"

#include "base/finite.h"
#include "base/log.h"
#include "graph/trial.h"
#include "sampling/noise.h"
#include "vae/image.h"

#include <cmath>
#include <cstring>

namespace ltx2 {

// ---- the components: one kind of constructor, one way into memory

template <class Component>
static std::unique_ptr<Component> open(const Model & model, Device & device) {
    return std::make_unique<Component>(model, device);
}

template <>
std::unique_ptr<TextEncoder> open(const Model & model, Device & device) {
    return open_text_encoder(model, device);
}

// One component at a time, or all of them where the caller has the memory.
template <class Component>
Component & Session::use(const Progress & progress) {
    std::unique_ptr<Component> & slot = std::get<std::unique_ptr<Component>>(resident_);
    if (in_use_ != &slot) {
        leave();
        in_use_ = &slot;
    }
    if (!slot) {
        std::unique_ptr<Component> component = open<Component>(model_, device_);
        component->load(progress);
        model_.check_unchanged();
        slot = std::move(component);
    }
    return *slot;
}

// What computing needs goes after each stage, the weights too unless they are kept.
void Session::leave() {
    if (!keep_loaded_)
        resident_ = decltype(resident_)();
    device_.trim();
}

// ---- opening: every part is checked, then whether they fit together

// The variants differ in their weights alone, so only what a file states can tell a mix of them.
static void check_variants(const Model & model) {
    const Part & dit = model.need(Dit::part);
    const std::string wanted = stated_variant(dit);
    for (const char * id : {Connector::projection_part, Connector::part, VideoDecoder::part}) {
        const Part * part = model.find(id);
        const std::string variant = part ? stated_variant(*part) : "";
        if (!wanted.empty() && !variant.empty() && part->file != dit.file && variant != wanted)
            fail(LTX2_STATUS_MODEL,
                 "%s: is of the %s model, and %s of the %s one; give the %s of "
                 "the same",
                 part->file->path.c_str(), variant.c_str(), dit.file->path.c_str(), wanted.c_str(),
                 part->row->title);
    }
}

// Of a device named by the caller, its name; else of the fastest that has memory for the weights:
// one component's at a time, or all.
static std::string chosen_device(const std::string & name, int threads, const Model & model,
                                 bool keep_loaded) {
    if (!name.empty() && name != "auto")
        return name;
    uint64_t largest = 0, all = 0;
    for (const char * id : {TextEncoder::part, Connector::part, Dit::part, VideoDecoder::part}) {
        uint64_t bytes = 0;
        if (const Part * part = model.find(id))
            for (const auto & [tensor, source] : part->tensors)
                bytes += source.info->size;
        largest = std::max(largest, bytes);
        all += bytes;
    }
    return fastest_device(threads, keep_loaded ? all : largest);
}

Session::Session(const std::vector<std::string> & files, const std::string & device, int threads,
                 bool keep_loaded, bool low_memory)
    : model_(files), device_(chosen_device(device, threads, model_, keep_loaded), threads),
      keep_loaded_(keep_loaded), low_memory_(low_memory) {
    const bool reads_prompts = model_.find(TextEncoder::part);
    if (reads_prompts || !model_.find(Dit::part) || !model_.find(VideoEncoder::part))
        model_.need_all();
    const auto encoder = open<VideoEncoder>(model_, device_);
    const auto dit = open<Dit>(model_, device_);
    const auto decoder = open<VideoDecoder>(model_, device_);
    context_width_ = dit->config().context_width;
    if (reads_prompts)
        check_text();

    const auto file = [&](const char * part) { return model_.need(part).file->path.c_str(); };
    const Scale &e = encoder->config().scale, &d = decoder->config().scale;
    if (e.time != d.time || e.space != d.space)
        fail(LTX2_STATUS_MODEL,
             "%s: the encoder takes %d frames of %d x %d pixels to a latent, and the decoder gives "
             "%d of %d x %d",
             file(VideoDecoder::part), e.time, e.space, e.space, d.time, d.space, d.space);
    const int channels = dit->config().in_channels;
    if (decoder->config().latent_channels != channels)
        fail(LTX2_STATUS_MODEL,
             "%s: the video VAE has latents of %lld channels, and the diffusion transformer of %s "
             "takes %d",
             file(VideoDecoder::part), static_cast<long long>(decoder->config().latent_channels),
             file(Dit::part), channels);
    check_variants(model_);
    model_.check_unchanged();
    decoder_ = decoder->config();
    width_ = dit->config().width();
    weights_ = std::max({weights_, dit->weights(), decoder->weights()});
    defaults_ = Defaults(model_.need(Dit::part), dit->config().layers, d);
}

// The parts that only prompts need.
void Session::check_text() {
    const auto text = open<TextEncoder>(model_, device_);
    const auto connector = open<Connector>(model_, device_);
    Tokenizer::check(model_.need(TextEncoder::part));
    const auto file = [&](const char * part) { return model_.need(part).file->path.c_str(); };
    if (text->states() * text->width() != connector->input())
        fail(LTX2_STATUS_MODEL,
             "%s: has %d layers of %lld, and %s wants another text encoder; give Gemma 3 12B, 48 "
             "layers of 3840",
             file(TextEncoder::part), text->states() - 1, static_cast<long long>(text->width()),
             file(Connector::projection_part));
    if (connector->config().width() != context_width_)
        fail(LTX2_STATUS_MODEL,
             "%s: the connector gives rows of %d, and cross_attention_dim of %s is %d",
             file(Connector::part), connector->config().width(), file(Dit::part), context_width_);
    text_length_ = connector->config().text_length;
    weights_ = std::max(text->weights(), connector->weights());
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
    const double needed =
        device_.shares_memory() ? 3.0 * size.width * size.height * size.frames : 0;
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

std::vector<TextFeatures> Session::encode(const Request & want, const Progress & progress) {
    if (want.features)
        return given(want);
    if (!tokenizer_)
        tokenizer_ = std::make_unique<Tokenizer>(Tokenizer::open(model_.need(TextEncoder::part)));
    std::vector<std::string> prompts = {want.prompt};
    if (want.uses_negative())
        prompts.push_back(want.negative);
    std::vector<TextFeatures> texts;
    for (const std::string & prompt : prompts) { // one prompt's hidden states take up to 0.8 GB
        std::vector<int32_t> tokens = tokenizer_->encode(prompt, text_length_ + 1);
        if (tokens.size() > static_cast<size_t>(text_length_)) {
            const bool negative = &prompt != &prompts[0];
            log(negative && !want.negative_given ? Level::debug : Level::warning,
                "%s: only its first %d tokens are read", negative ? "negative prompt" : "prompt",
                text_length_);
            tokens.pop_back();
        }
        const HiddenStates states = use<TextEncoder>(progress).encode(tokens, progress);
        texts.push_back(use<Connector>(progress).project(states, progress));
        check(texts.back().values, "encoding the prompt",
              {{model_.need(TextEncoder::part)},
               {model_.need(Connector::projection_part)},
               {model_.need(Connector::part)}},
              progress);
    }
    return texts;
}

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

// The caller's noise, or the seed's: for the video, then for each image at a later frame.
static std::vector<float> noise_of(const Request & want, const Stream & stream) {
    const int64_t channels = stream.channels, video = want.grid.cells() * channels;
    const int64_t all = stream.tokens() * channels, one = want.grid.frame_cells() * channels;
    const int64_t given = static_cast<int64_t>(want.noise_count);
    if (given && given != video && given != all)
        fail(LTX2_STATUS_INVALID_ARGUMENT,
             "noise: %zu values given, and %d x %d x %d x %d are wanted", want.noise_count,
             stream.channels, want.grid.frames, want.grid.height, want.grid.width);
    std::vector<float> noise;
    for (int64_t first = 0, i = 0; first < all; first += i ? one : video, ++i) {
        const int64_t count = i ? one : video;
        const std::vector<float> planes =
            first < given ? std::vector<float>(want.noise + first, want.noise + first + count)
                          : normal_noise(want.seed, static_cast<uint32_t>(i), count);
        const std::vector<float> part =
            from_planes(planes.data(), count / channels, stream.channels);
        noise.insert(noise.end(), part.begin(), part.end());
    }
    if (!all_finite(noise))
        fail(LTX2_STATUS_INVALID_ARGUMENT, "noise: holds a value that is not finite");
    return noise;
}

Latents Session::encode(const std::vector<float> & pixels, const VideoSize & size,
                        const std::string & where, const Progress & progress) {
    Latents latents =
        use<VideoEncoder>(progress).encode(pixels, size.frames, size.height, size.width, progress);
    const Part & part = model_.need(VideoEncoder::part);
    check(latents.values, where, {{part, "vae.encoder."}, {part, "vae.per_channel_statistics."}},
          progress);
    return latents;
}

// Where the latents begin: nothing, and what the images give.
Stream Session::start(const Request & want, const Progress & progress) {
    Stream video;
    video.channels = static_cast<int>(decoder_.latent_channels);
    video.latents.assign(static_cast<size_t>(want.grid.cells() * video.channels), 0.0f);
    video.clean = video.latents;
    video.mask.assign(static_cast<size_t>(want.grid.cells()), 1.0f);
    video.positions = video_positions(want.grid, decoder_.scale, want.fps);
    for (size_t i = 0; i < want.images.size(); ++i) {
        progress("image", static_cast<int>(i), static_cast<int>(want.images.size()));
        const ltx2_image & image = want.images[i];
        const std::vector<float> pixels =
            cover(image.pixels, image.width, image.height, want.width, want.height);
        const Latents latents = encode(pixels, {1, want.height, want.width},
                                       words("encoding image %zu", i + 1), progress);
        pin(video, image, latents,
            keyframe_positions(want.grid, decoder_.scale, want.fps, image.frame));
    }
    return video;
}

// The latents that the caller's run had come to, in place of those it begins with.
static void go_on(const ltx2_state & from, std::vector<float> & latents) {
    if (from.count != latents.size())
        fail(LTX2_STATUS_INVALID_ARGUMENT,
             "resume: %zu values given, and %zu are wanted; it was another video", from.count,
             latents.size());
    latents.assign(from.values, from.values + from.count);
    if (!all_finite(latents))
        fail(LTX2_STATUS_INVALID_ARGUMENT, "resume: holds a value that is not finite");
}

// Tells the caller where the run is.
static void tell(const Request & want, const Stream & video, int step,
                 const std::vector<float> & predicted) {
    if (!want.state)
        return;
    const std::vector<float> planes =
        to_planes(predicted.data(), want.grid.cells(), video.channels);
    const ltx2_latents shape = {planes.data(), video.channels, want.grid.frames, want.grid.height,
                                want.grid.width};
    const ltx2_state now = {step, video.latents.data(), video.latents.size(), &shape};
    if (!ask("state", want.state, now, want.user_data))
        fail(LTX2_STATUS_CANCELLED, "denoise: cancelled after step %d", step);
}

void Session::denoise(const Request & want, const std::vector<TextFeatures> & texts, State & state,
                      const Progress & progress) {
    if (want.resume)
        go_on(*want.resume, state.front().latents);
    int before = 0; // steps of earlier stages
    for (const Stage & stage : want.stages) {
        before += stage.steps();
        if (stage.first == stage.steps())
            continue;
        if (stage.first == 0)
            state.front().add_noise(noise_of(want, state.front()), stage.noise);
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
        ltx2::denoise(state, stage, progress, velocity,
                      [&](int done, const std::vector<float> & predicted) {
                          check_step(state.front().latents);
                          tell(want, state.front(), before - stage.steps() + done, predicted);
                      });
    }
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

void Session::decode(const Latents & latents, Video & video, const Progress & progress) {
    VideoDecoder & decoder = use<VideoDecoder>(progress); // first: the DiT goes
    const auto [frames, height, width] = size_of(latents.grid);
    if (device_.tally()) {
        const Counted pixels =
            device_.hold(size_t{3} * static_cast<size_t>(frames) * height * width);
        return decoder.decode(latents, progress, {});
    }
    video.frames = frames, video.height = height, video.width = width;
    const size_t frame = size_t{3} * static_cast<size_t>(video.width) * video.height;
    video.pixel_data.resize(frame * static_cast<size_t>(video.frames));
    video.pixels = video.pixel_data.data();
    bool flat = true; // every frame so far: of a good video, the first one is looked at
    decoder.decode(latents, progress, [&](const uint8_t * rows, int first, int count, bool finite) {
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

std::unique_ptr<Video> Session::generate(const ltx2_video_params & params) {
    const Leave leave{*this};
    return while_unchanged(model_, [&] { return make(params); });
}

// What can be told before any work is.
Request Session::request(const ltx2_video_params & params) {
    Request want(params, defaults_, decoder_.scale);
    decoder_.check(want.grid);
    check_pixels(want.grid);
    choose_residency(want.grid);
    if (!want.features)
        model_.need_all();
    return want;
}

std::unique_ptr<Video> Session::make(const ltx2_video_params & params) {
    const Progress progress(params.progress, params.user_data, &closed_);
    const Request want = request(params);
    check_memory(want);
    const std::vector<TextFeatures> texts = encode(want, progress);
    State state = {start(want, progress)};
    denoise(want, texts, state, progress);

    Latents latents{want.grid, state.front().channels, std::move(state.front().latents)};
    latents.values.resize(static_cast<size_t>(latents.size())); // without the images' tokens
    std::unique_ptr<Video> video = video_of(latents, want.fps);
    if (!ask("latents", params.latents, video->shape, params.user_data))
        fail(LTX2_STATUS_CANCELLED, "latents: cancelled before they are decoded");
    decode(latents, *video, progress);
    return video;
}

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
    std::unique_ptr<Video> video =
        video_of(latents, params.fps != 0 ? checked_fps(params.fps) : defaults_.fps);
    const Progress progress(params.progress, params.user_data, &closed_);
    while_unchanged(model_, [&] { decode(latents, *video, progress); });
    return video;
}

std::unique_ptr<Video> Session::encode(const ltx2_frames_params & params) {
    const Leave leave{*this};
    const Progress progress(params.progress, params.user_data, &closed_);
    const Scale & scale = decoder_.scale;
    check_size("frames", params.frames, params.height, params.width, 16384);
    check_pixels({params.frames / scale.time + 1, params.height / scale.space + 1,
                  params.width / scale.space + 1});
    const size_t count =
        size_t{3} * static_cast<size_t>(params.frames) * params.height * params.width;
    std::vector<float> pixels(count);
    for (size_t i = 0; i < count; ++i)
        pixels[i] = static_cast<float>(params.pixels[i]) / 127.5f - 1;
    return while_unchanged(model_, [&] {
        progress("image", 0, 1);
        const VideoSize size{params.frames, params.height, params.width};
        return video_of(encode(pixels, size, "encoding the frames", progress), defaults_.fps);
    });
}

} // namespace ltx2
