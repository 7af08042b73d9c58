// The pipeline, and which component is in memory when.
#pragma once

#include "audio/audio_vae.h"
#include "audio/vocoder.h"
#include "dit/dit.h"
#include "plan.h"
#include "request.h"
#include "suspects.h"
#include "text/connector.h"
#include "text/duration.h"
#include "text/encoder.h"
#include "text/tokenizer.h"
#include "vae/diffusion_decoder.h"
#include "vae/upsampler.h"
#include "vae/video_encoder.h"

#include <atomic>
#include <functional>
#include <map>
#include <optional>
#include <tuple>
#include <type_traits>

namespace ltx2 {

// What ltx2_video points into.
struct Video : ltx2_video {
    std::vector<uint8_t> pixel_data;
    std::vector<float> audio_data;
    std::vector<float> latent_data; // in planes
    ltx2_latents shape;
};

// What ltx2_features points into.
struct Features : ltx2_features {
    std::vector<TextFeatures> texts; // of the prompt, and of the negative one where that is read

    explicit Features(std::vector<TextFeatures> texts);
    Features(const Features &) = delete;
};

// Latents of single frames of a video, by the frame.
using Keyframes = std::map<int, std::vector<float>>;

// What a run makes: what is decoded, and while it is made what that is made of.
struct Sampled {
    Latents video;
    Latents smaller;             // what it was before it was enlarged, as a reference
    Latents canvas;              // what tiles are parts of; the video is then those that are made
    Keyframes keyframes;         // made besides
    Latents audio;               // none without sound
    bool sound_is_given = false; // all of it

    size_t bytes() const;
    void begin_tiles();
    void make_room(const Conditions & given, const Stage & stage, int channels);
    void take(const Conditions & given, const Stage & stage, int channels,
              const std::vector<float> & latents);
};

// The given sound where it lies in the video, no longer than that. INVALID_ARGUMENT.
Sound sound_of(const Request & want);

class Session {
public:
    // Reads metadata, and checks every tensor of every part. MODEL, DEVICE, INVALID_ARGUMENT.
    Session(const std::vector<std::string> & files, const std::vector<Adapter> & adapters,
            const std::string & device, int threads, bool keep_loaded, bool low_memory);

    std::unique_ptr<Video> generate(const ltx2_video_params & params);
    std::unique_ptr<Video> decode(const ltx2_decode_params & params);
    Json settings(const ltx2_video_params & params);
    std::unique_ptr<Features> encode(const ltx2_video_params & params);
    std::unique_ptr<Video> encode(const ltx2_frames_params & params);
    std::string enhance(const ltx2_enhance_params & params);
    // What `generate` would take, as JSON: docs/c-api.md. `speeds`: of an earlier plan, or empty.
    Json plan(const ltx2_video_params & params, const std::string & speeds);
    const char * device() const { return ggml_backend_dev_name(device_.ggml()); }
    // From any thread: a call that is under way stops.
    void close() { closed_ = true; }

private:
    // What a call leaves when it ends, however it does.
    struct Leave {
        Session & session;
        ~Leave() { session.leave(); }
    };
    struct Aside;
    class Strengths;
    // MODEL where the files have changed or the values, of one of the stages, are not finite.
    void check(const std::vector<float> & values, const std::string & where,
               const std::vector<Suspect> & suspects, const Progress & progress) const;
    template <class Component, class... Options>
    Component & use(const Progress & progress, Options... options);
    template <class Component, class... Options>
    std::unique_ptr<Component> made(Options... options);
    void leave();

    void check_text();
    const Tokenizer & tokenizer();
    TextEncoder & writer(const Progress & progress);
    using Run = std::function<void(const Progress & progress)>;
    void check_writing(size_t prompt, int64_t room, const Progress & progress);
    Tally counted(const Progress & progress, const Run & run);
    void check_upsampler(const char * part);
    void check_duration_head();
    std::unique_ptr<Video> make(const ltx2_video_params & params);
    std::vector<TextFeatures> encode(const Request & want, const Progress & progress);
    std::vector<TextFeatures> given(const Request & want) const;
    Latents encode(std::vector<float> pixels, const VideoSize & size, const std::string & where,
                   const Progress & progress);
    Request request(const ltx2_video_params & params, const Progress & progress);
    void check_given(const Request & want) const; // noise, and a state to go on from
    double predicted_seconds(const Request & want, const Progress & progress);
    void fill_in(std::vector<ltx2_reference> & references) const;
    void refer(Request & want) const;
    void check_distilled(const Request & want) const;
    void check_enlarged(const Request & want);
    // `made`: before the stage.
    Stream start(const Request & want, size_t index, const Sampled & made,
                 const Progress & progress);
    // `given`: of the sound that there is, or none.
    Stream start_sound(const Request & want, size_t index, const Latents & before,
                       const Latents & given) const;
    Latents encode_sound(const Request & want, const Progress & progress);
    Latents encode(const ltx2_clip & clip, const std::vector<int> & frames, const Grid & grid,
                   const std::string & where, const Progress & progress);
    void keep_source(const Request & want, const Grid & grid, Stream & video,
                     const Progress & progress);
    void check_sound();
    Sampled sample(const Request & want, const std::vector<TextFeatures> & texts,
                   const Progress & progress);
    void decode_sound(const Latents & latents, Video & video, const Progress & progress);
    Device & processor();
    // Whether it computes the sound in earnest, or counts that too.
    bool counts_sound() { return !device_.tally() || &processor() == &device_; }
    void denoise(const Request & want, size_t index, const std::vector<TextFeatures> & texts,
                 Sampled & made, State & state, const Progress & progress);
    Latents enlarge(const Latents & latents, const char * part, const Progress & progress);
    void prepare(const Request & want, size_t index, Sampled & made, const Progress & progress);
    // `seed`: of the noise that a decoder makes frames of, where it does.
    void decode(const Latents & latents, uint64_t seed, Video & video, const Progress & progress);
    // Where the video is decoded: attention over windows is the processor's.
    Device & decoder_device() { return DiffusionDecoder::is_in(model_) ? processor() : device_; }
    VideoSize size_of(const Grid & grid) const;
    double least_bytes(const Request & want) const;
    bool is_hopeless(const Request & want) const;
    void check_memory(const Request & want, const Progress & progress);
    void check_memory(const std::string & what, double rough, const Progress & progress,
                      const Run & run);
    Plan weigh(const Request & want, const std::string & speeds, const Progress & progress);
    void check_pixels(const Grid & grid) const;
    [[noreturn]] void fail_too_large(const VideoSize & size, double needed, double have,
                                     const std::string & instead) const;
    uint64_t block_bytes(const Grid & grid) const;
    void choose_residency(const Grid & grid);
    Tally count(const Request & want, const Progress & progress);
    std::optional<VideoSize> nearest(const Request & want, const Progress & progress);

    Model model_;
    Device device_;
    std::optional<Device> processor_; // where the device is another and lacks some kernels
    bool keep_loaded_, low_memory_;
    std::atomic<bool> closed_{false};
    std::unique_ptr<Tokenizer> tokenizer_; // half a second: once
    Defaults defaults_;
    int text_length_ = 0, width_ = 0; // rows of text; of the DiT
    uint64_t weights_ = 0;            // bytes, of the largest component
    int context_width_ = 0;           // of the text that the DiT reads
    bool makes_sound_ = false, makes_slots_ = false;
    std::string sound_lacks_;                  // the parts for want of which it makes none
    int audio_width_ = 0, audio_channels_ = 0; // of the text that the sound reads; of its latents
    VaeConfig decoder_;
    std::tuple<std::unique_ptr<TextEncoder>, std::unique_ptr<Connector>,
               std::unique_ptr<AudioConnector>, std::unique_ptr<DurationHead>,
               std::unique_ptr<AudioEncoder>, std::unique_ptr<AudioDecoder>,
               std::unique_ptr<Vocoder>, std::unique_ptr<VideoEncoder>, std::unique_ptr<Dit>,
               std::unique_ptr<Upsampler>, std::unique_ptr<VideoDecoder>>
        resident_;
    const void * in_use_ = nullptr; // the one that computed last
};

// ---- one kind of constructor, one way into memory

template <class Component>
std::unique_ptr<Component> open(const Model & model, Device & device) {
    return std::make_unique<Component>(model, device);
}

template <>
inline std::unique_ptr<TextEncoder> open(const Model & model, Device & device) {
    return open_text_encoder(model, device);
}

template <>
inline std::unique_ptr<VideoDecoder> open(const Model & model, Device & device) {
    return open_video_decoder(model, device);
}

template <class Component, class... Options>
std::unique_ptr<Component> Session::made([[maybe_unused]] Options... options) {
    if constexpr (std::is_same_v<Component, Dit> || std::is_same_v<Component, Upsampler>)
        return std::make_unique<Component>(model_, device_, options...);
    else if constexpr (std::is_same_v<Component, TextEncoder>)
        return open_text_encoder(model_, device_, options...);
    else if constexpr (std::is_same_v<Component, DurationHead> ||
                       std::is_same_v<Component, AudioEncoder> ||
                       std::is_same_v<Component, AudioDecoder> ||
                       std::is_same_v<Component, Vocoder>)
        return open<Component>(model_, processor());
    else if constexpr (std::is_same_v<Component, VideoDecoder>)
        return open<Component>(model_, decoder_device());
    else
        return open<Component>(model_, device_);
}

// One component at a time, or all of them where the caller has the memory.
template <class Component, class... Options>
Component & Session::use(const Progress & progress, Options... options) {
    std::unique_ptr<Component> & slot = std::get<std::unique_ptr<Component>>(resident_);
    if (in_use_ != &slot) {
        leave();
        in_use_ = &slot;
    }
    if (!slot) {
        std::unique_ptr<Component> component = made<Component>(options...);
        component->load(progress);
        model_.check_unchanged();
        slot = std::move(component);
    }
    return *slot;
}

} // namespace ltx2
