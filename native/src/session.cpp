#include "session.h"

#include "base/log.h"
#include "dit/dit.h"
#include "model/model.h"
#include "npy_file.h"
#include "sampling/noise.h"
#include "text/connector.h"
#include "text/gemma3.h"
#include "text/tokenizer.h"
#include "vae/image.h"
#include "vae/video_vae.h"

#include <cmath>
#include <cstring>
#include <functional>

namespace ltx2 {

// A component in memory for its stage, or for the session's life where the caller wants that.
template <class Component>
class Resident {
public:
    Component & use(const std::function<std::unique_ptr<Component>()> & make) {
        if (!component_)
            component_ = make();
        return *component_;
    }
    void leave() { component_.reset(); }

private:
    std::unique_ptr<Component> component_;
};

struct Session::Impl {
    explicit Impl(const SessionParams & p)
        : model(p.files), device(p.device, p.threads), keep_loaded(p.keep_loaded),
          vae(device, model.index(), model.config()) {
        check_config();
    }
    void check_config() const;

    // What a call leaves when it ends, however it does.
    struct Leave {
        Impl & session;
        ~Leave() {
            session.end_stage(session.gemma);
            session.end_stage(session.connector);
            session.end_stage(session.dit);
            session.end_vae_stage();
        }
    };

    ModelSet model;
    Device device;
    bool keep_loaded;
    std::unique_ptr<Tokenizer> tokenizer;
    Resident<Gemma> gemma;
    Resident<Connector> connector;
    Resident<Dit> dit;
    VideoVae vae; // each half of it loads when it is first used

    template <class Component>
    void end_stage(Resident<Component> & component) {
        if (!keep_loaded)
            component.leave();
        device.trim();
    }
    void end_vae_stage() {
        if (!keep_loaded)
            vae.release();
        device.trim();
    }
    std::vector<std::vector<float>> encode_texts(const std::vector<std::string> & prompts,
                                                 const Progress & progress);
    void check_memory(const Geometry & g) const;
};

// What each part alone would take, and what the parts together cannot.
void Session::Impl::check_config() const {
    if (vae.time_scale() != frame_scale || vae.pixel_scale() != pixel_scale)
        fail(LTX2_STATUS_MODEL,
             "config vae: a latent stands for %d frames of %d x %d pixels, and LTX-2.3's for %d of "
             "%d x %d",
             vae.time_scale(), vae.pixel_scale(), vae.pixel_scale(), frame_scale, pixel_scale,
             pixel_scale);
    const int text = ConnectorConfig(model.config()).width();
    const int wanted = DitConfig(model.config()).context_width;
    if (text != wanted)
        fail(LTX2_STATUS_MODEL,
             "config transformer: the connector gives rows of %d, and cross_attention_dim is %d",
             text, wanted);
}

// ---- what the caller asked for, with the model's defaults filled in

struct Request {
    Geometry geometry;
    Sampling sampling;
    std::string prompt, negative;
    std::vector<ltx2_image> images; // one at frame 0 at most
    std::vector<float> schedule;
};

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static Sampling sampling_of(const ltx2_video_params & p, Sampling s) {
    if (p.schedule && p.schedule != s.schedule) {
        s.schedule = p.schedule;
        if (s.schedule == "distilled")
            s.steps = 8;
    }
    const auto finite = [](const char * name, float value) {
        if (!std::isfinite(value) || value > 100)
            fail(LTX2_STATUS_INVALID_ARGUMENT, "%s: %g is not a number up to 100", name, value);
        return value;
    };
    if (p.steps)
        s.steps = p.steps;
    if (finite("guidance", p.guidance) != 0) {
        if (p.guidance < 0)
            fail(LTX2_STATUS_INVALID_ARGUMENT, "guidance: %g is negative; 1 is off", p.guidance);
        s.guidance = p.guidance;
    }
    if (finite("stg", p.stg) != 0)
        s.stg = std::max(0.0f, p.stg);
    if (finite("rescale", p.rescale) != 0)
        s.rescale = std::max(0.0f, p.rescale);
    return s;
}

static std::vector<ltx2_image> checked_images(const ltx2_video_params & p, int frames) {
    std::vector<ltx2_image> images;
    if (p.image_count && !p.images)
        fail(LTX2_STATUS_INVALID_ARGUMENT, "images: null");
    if (p.image_count > static_cast<size_t>(frames))
        fail(LTX2_STATUS_INVALID_ARGUMENT, "images: %zu given for %d frames", p.image_count,
             frames);
    for (size_t i = 0; i < p.image_count; ++i) {
        ltx2_image image = p.images[i];
        const int largest = 1 << 15;
        if (!image.pixels || image.width < 1 || image.height < 1 || image.width > largest ||
            image.height > largest)
            fail(LTX2_STATUS_INVALID_ARGUMENT, "images[%zu]: no pixels, or %d x %d is not in 1..%d",
                 i, image.width, image.height, largest);
        if (image.frame < 0 || image.frame >= frames)
            fail(LTX2_STATUS_INVALID_ARGUMENT, "images[%zu].frame: %d is not in 0..%d", i,
                 image.frame, frames - 1);
        if (image.strength == 0)
            image.strength = 1;
        if (!(image.strength > 0 && image.strength <= 1))
            fail(LTX2_STATUS_INVALID_ARGUMENT, "images[%zu].strength: %g is not in 0..1", i,
                 image.strength);
        for (const ltx2_image & other : images)
            if (other.frame == image.frame)
                fail(LTX2_STATUS_INVALID_ARGUMENT, "images[%zu].frame: %d has an image already", i,
                     image.frame);
        images.push_back(image);
    }
    return images;
}

static Request request_of(const ltx2_video_params & p, const ModelDefaults & d) {
    const Geometry geometry(p.width ? p.width : d.width, p.height ? p.height : d.height,
                            p.frames ? p.frames : d.frames, p.fps != 0 ? p.fps : d.fps,
                            d.latent_channels);
    Request r{geometry, sampling_of(p, d.sampling), p.prompt, "", {}, {}};
    if (std::all_of(r.prompt.begin(), r.prompt.end(), is_space))
        fail(LTX2_STATUS_INVALID_ARGUMENT, "prompt: empty; say what the video shows");
    if (p.negative_prompt)
        r.negative = p.negative_prompt;
    r.schedule = sigmas(r.sampling.schedule, r.sampling.steps);
    r.images = checked_images(p, geometry.frames);
    if (p.noise_count && !p.noise)
        fail(LTX2_STATUS_INVALID_ARGUMENT, "noise: null");
    if (p.latents_path)
        check_npy(p.latents_path);
    return r;
}

// Systems that promise more memory than they have end the process that believes them: what cannot
// fit is refused before the first byte is asked for.
void Session::Impl::check_memory(const Geometry & g) const {
    const double pixels = 3.0 * g.width * g.height * g.frames;
    const double width = DitConfig(model.config()).width();
    // A block holds the hidden state, its rotary table, and queries, keys, values and their mean.
    const double block = 6 * sizeof(float) * width * static_cast<double>(g.tokens());
    const double needed = device.shares_memory() ? std::max(pixels, block) : block;
    const double have = static_cast<double>(device.memory());
    if (have > 0 && needed > have)
        fail(LTX2_STATUS_OUT_OF_MEMORY,
             "memory: %d frames of %d x %d need more than %.0f GiB, and the device has %.0f GiB",
             g.frames, g.width, g.height, needed / (1 << 30), have / (1 << 30));
}

// ---- the stages

std::vector<std::vector<float>>
Session::Impl::encode_texts(const std::vector<std::string> & prompts, const Progress & progress) {
    if (!tokenizer)
        tokenizer = std::make_unique<Tokenizer>(model.tokenizer());
    std::vector<int64_t> counts;
    std::vector<std::vector<float>> states, texts;
    for (const std::string & prompt : prompts) {
        const int most = model.text_length();
        std::vector<int32_t> tokens = tokenizer->encode(prompt, most + 1);
        if (tokens.size() > static_cast<size_t>(most)) {
            log(Level::warning, "prompt: only its first %d tokens are read", most);
            tokens.resize(static_cast<size_t>(most));
        }
        counts.push_back(static_cast<int64_t>(tokens.size()));
        Gemma & encoder = gemma.use([&] {
            return std::make_unique<Gemma>(device, model.index(), model.gemma(), progress);
        });
        states.push_back(encoder.encode(tokens, progress));
    }
    end_stage(gemma);
    for (size_t i = 0; i < prompts.size(); ++i) {
        Connector & projector = connector.use([&] {
            return std::make_unique<Connector>(device, model.index(), model.config(), model.gemma(),
                                               progress);
        });
        texts.push_back(projector.project(states[i], counts[i], progress));
    }
    end_stage(connector);
    return texts;
}

// An image becomes latents of one frame: at frame 0 in place of the first, else as tokens behind.
static void pin(State & state, std::vector<Position> & positions, const Geometry & g,
                const ltx2_image & image, const std::vector<float> & latents) {
    const int64_t cells = g.frame_tokens();
    const std::vector<float> tokens = to_tokens(latents.data(), cells, g.channels);
    const float mask = 1 - image.strength;
    if (image.frame == 0) {
        std::copy(tokens.begin(), tokens.end(), state.latents.begin());
        std::copy(tokens.begin(), tokens.end(), state.clean.begin());
        std::fill_n(state.mask.begin(), cells, mask);
        return;
    }
    state.tokens += cells;
    state.latents.insert(state.latents.end(), tokens.begin(), tokens.end());
    state.clean.insert(state.clean.end(), tokens.begin(), tokens.end());
    state.mask.insert(state.mask.end(), static_cast<size_t>(cells), mask);
    const std::vector<Position> more = keyframe_positions(g, image.frame);
    positions.insert(positions.end(), more.begin(), more.end());
}

// The caller's noise, or the seed's: for the video, then for each image at a later frame.
static std::vector<float> noise_of(const ltx2_video_params & p, const Geometry & g,
                                   const State & state) {
    const int64_t video = g.latent_size();
    const int64_t all = state.tokens * g.channels, one = g.frame_tokens() * g.channels;
    const int64_t given = static_cast<int64_t>(p.noise_count);
    if (given && given != video && given != all)
        fail(LTX2_STATUS_INVALID_ARGUMENT,
             "noise: %zu values given, and %d x %d x %d x %d are "
             "wanted",
             p.noise_count, g.channels, g.latent_frames(), g.latent_height(), g.latent_width());
    std::vector<float> noise;
    for (int64_t first = 0, i = 0; first < all; first += i ? one : video, ++i) {
        const int64_t count = i ? one : video;
        const std::vector<float> part =
            first < given ? std::vector<float>(p.noise + first, p.noise + first + count)
                          : normal_noise(p.seed, static_cast<uint32_t>(i), count);
        const std::vector<float> tokens = to_tokens(part.data(), count / g.channels, g.channels);
        noise.insert(noise.end(), tokens.begin(), tokens.end());
    }
    for (float v : noise)
        if (!std::isfinite(v))
            fail(LTX2_STATUS_INVALID_ARGUMENT, "noise: holds a value that is not finite");
    return noise;
}

Session::Session(const SessionParams & params) : impl_(std::make_unique<Impl>(params)) {}
Session::~Session() = default;

std::unique_ptr<Video> Session::generate(const ltx2_video_params & params) {
    Impl & s = *impl_;
    const Progress progress(params.progress, params.user_data);
    const Request want = request_of(params, s.model.defaults());
    const Geometry & g = want.geometry;
    s.vae.check_decode(g.latent_frames(), g.latent_height(), g.latent_width());
    s.check_memory(g);
    const Impl::Leave leave{s};

    // Text, twice where guidance compares with the negative prompt.
    std::vector<std::string> prompts = {want.prompt};
    if (want.sampling.uses_negative())
        prompts.push_back(want.negative);
    std::vector<std::vector<float>> texts = s.encode_texts(prompts, progress);
    texts.resize(2);

    // Where the latents start: nothing, and what the images give.
    State state;
    state.tokens = g.tokens();
    state.channels = g.channels;
    state.latents.assign(static_cast<size_t>(g.latent_size()), 0.0f);
    state.clean = state.latents;
    state.mask.assign(static_cast<size_t>(g.tokens()), 1.0f);
    std::vector<Position> positions = video_positions(g);
    for (size_t i = 0; i < want.images.size(); ++i) {
        progress("image", static_cast<int>(i), static_cast<int>(want.images.size()));
        const ltx2_image & image = want.images[i];
        const std::vector<float> pixels =
            cover(image.pixels, image.width, image.height, g.width, g.height);
        pin(state, positions, g, image,
            s.vae.encode(pixels.data(), 1, g.height, g.width, progress));
    }
    s.end_vae_stage();
    state.add_noise(noise_of(params, g, state));

    Dit & dit = s.dit.use([&] {
        return std::make_unique<Dit>(s.device, s.model.index(), s.model.config(), progress);
    });
    dit.prepare(positions, texts[0], texts[1],
                want.sampling.uses_stg() ? want.sampling.stg_blocks : std::vector<int>());
    denoise(state, want.sampling, want.schedule, progress,
            [&](const State & now, float sigma) { return dit.velocity(now, sigma, progress); });
    s.end_stage(s.dit);

    auto video = std::make_unique<Video>();
    video->latent_data = from_tokens(state.latents.data(), g.tokens(), g.channels);
    if (params.latents_path)
        write_npy(params.latents_path, "<f4",
                  {g.channels, g.latent_frames(), g.latent_height(), g.latent_width()},
                  video->latent_data.data(), video->latent_data.size() * sizeof(float));
    const size_t frame_bytes = size_t(3) * static_cast<size_t>(g.width) * g.height;
    video->pixel_data.resize(frame_bytes * static_cast<size_t>(g.frames));
    s.vae.decode(video->latent_data.data(), g.latent_frames(), g.latent_height(), g.latent_width(),
                 progress, [&](const uint8_t * rows, int first, int count) {
                     std::memcpy(video->pixel_data.data() + frame_bytes * size_t(first), rows,
                                 frame_bytes * static_cast<size_t>(count));
                 });
    s.end_vae_stage();

    video->pixels = video->pixel_data.data();
    video->frames = g.frames, video->height = g.height, video->width = g.width;
    video->fps = g.fps;
    video->latents = video->latent_data.data();
    video->latent_channels = g.channels, video->latent_frames = g.latent_frames();
    video->latent_height = g.latent_height(), video->latent_width = g.latent_width();
    return video;
}

} // namespace ltx2
