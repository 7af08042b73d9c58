// Opening: every part is checked, then whether they fit together.
#include "session.h"

#include "base/log.h"
#include "base/utf8.h"
#include "files/config.h"
#include "graph/trial.h"
#include "text/gemma_config.h"

#include <algorithm>

namespace ltx2 {

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

// Rows of the embedding are looked up, without what an adapter adds to them.
static void warn_of_unread(const Model & model) {
    const Part * text = model.find(TextEncoder::part);
    if (!text || !text->adapters.count("token_embd"))
        return;
    for (const LowRank & low : text->adapters.find("token_embd")->second)
        log(Level::warning,
            "%s: what it adds to the embedding of the text encoder is not used; a conversion "
            "merges it",
            low.adapter->path.c_str());
}

Session::Session(const std::vector<std::string> & files, const std::vector<Adapter> & adapters,
                 const std::string & device, int threads, bool keep_loaded, bool low_memory)
    : model_(files, adapters),
      device_(chosen_device(device, threads, model_, keep_loaded), threads),
      keep_loaded_(keep_loaded), low_memory_(low_memory) {
    const bool reads_prompts = model_.find(TextEncoder::part);
    model_.check_generations(); // first: the wrong text encoder says more than what is missing
    if (reads_prompts || !model_.find(Dit::part) || !model_.find(VideoEncoder::part))
        model_.need_all();
    const auto encoder = open<VideoEncoder>(model_, device_);
    const auto dit = open<Dit>(model_, device_);
    const auto decoder = open<VideoDecoder>(model_, decoder_device());
    context_width_ = dit->config().text_width(dit->config().video);
    if (reads_prompts)
        check_text();

    const auto file = [&](const char * part) { return model_.need(part).file->path.c_str(); };
    const Scale &e = encoder->config().scale, &d = decoder->config().scale;
    if (e.time != d.time || e.space != d.space)
        fail(LTX2_STATUS_MODEL,
             "%s: the encoder takes %d frames of %d x %d pixels to a latent, and the decoder gives "
             "%d of %d x %d",
             file(VideoDecoder::part), e.time, e.space, e.space, d.time, d.space, d.space);
    const int channels = dit->config().video.channels;
    if (decoder->config().latent_channels != channels)
        fail(LTX2_STATUS_MODEL,
             "%s: the video VAE has latents of %lld channels, and the diffusion transformer of %s "
             "takes %d",
             file(VideoDecoder::part), static_cast<long long>(decoder->config().latent_channels),
             file(Dit::part), channels);
    check_variants(model_);
    model_.check_unchanged();
    decoder_ = decoder->config();
    for (const char * id : {Upsampler::part, Upsampler::temporal_part})
        if (model_.find(id))
            check_upsampler(id);
    check_sound();
    if (model_.find(DurationHead::part))
        check_duration_head();
    width_ = dit->config().video.width();
    makes_slots_ = dit->marks_single_frames();
    weights_ = std::max({weights_, dit->weights(), decoder->weights()});
    defaults_ = Defaults(model_.need(Dit::part), model_.generation(), dit->config().layers, d);
    defaults_.tells_length = model_.find(DurationHead::part);
    warn_of_unread(model_);
    for (const Adapter & adapter : model_.adapters())
        if (adapter.distils && defaults_.schedule == "distilled")
            log(Level::warning,
                "%s: makes a distilled model of a dev one, and %s is distilled: it does harm",
                adapter.path.c_str(), file(Dit::part));
}

// Sound needs all of its parts, but for the text projection, where features are given.
void Session::check_sound() {
    const bool projects = AudioConnector::has_projection(model_);
    const bool needs_projection = model_.find(TextEncoder::part);
    for (const PartRow & row : part_rows()) {
        const bool is_projection = row.id == std::string(AudioConnector::projection_part);
        const bool there =
            is_projection ? projects || !needs_projection : model_.find(row.id) != nullptr;
        if (row.sound && !there)
            sound_lacks_ += (sound_lacks_.empty() ? "" : ", ") + std::string(row.title);
    }
    if (!sound_lacks_.empty()) {
        if (model_.find(Dit::audio_part))
            log(Level::info, "model: makes no sound, for lack of %s", sound_lacks_.c_str());
        return;
    }
    const Dit dit(model_, device_, /*with_audio=*/true);
    open<AudioEncoder>(model_, processor());
    const auto decoder = open<AudioDecoder>(model_, processor());
    const auto vocoder = open<Vocoder>(model_, processor());
    if (projects)
        open<AudioConnector>(model_, device_);
    const ConnectorConfig connector(model_.need(AudioConnector::part), "audio_");
    audio_width_ = dit.config().text_width(*dit.config().audio);
    audio_channels_ = dit.config().audio->channels;
    if (connector.width() != audio_width_)
        fail(LTX2_STATUS_MODEL,
             "%s: the connector gives rows of %d, and the transformer of %s reads rows of %d",
             model_.need(AudioConnector::part).file->path.c_str(), connector.width(),
             model_.need(Dit::audio_part).file->path.c_str(), audio_width_);
    if (decoder->channels() != audio_channels_)
        fail(LTX2_STATUS_MODEL,
             "%s: the audio VAE has latents of %lld values, and the diffusion transformer of %s "
             "takes %d",
             model_.need(AudioDecoder::part).file->path.c_str(),
             static_cast<long long>(decoder->channels()),
             model_.need(Dit::audio_part).file->path.c_str(), audio_channels_);
    weights_ = std::max(weights_, dit.weights());
    makes_sound_ = true;
}

// What computes the sound.
Device & Session::processor() {
    if (device() == std::string("CPU"))
        return device_;
    if (!processor_)
        processor_.emplace("CPU", device_.threads());
    return *processor_;
}

void Session::check_upsampler(const char * id) {
    const Upsampler upsampler(model_, device_, id);
    if (upsampler.channels() != decoder_.latent_channels)
        fail(LTX2_STATUS_MODEL,
             "%s: the upsampler takes latents of %lld channels, and those of %s have %lld",
             model_.need(id).file->path.c_str(), static_cast<long long>(upsampler.channels()),
             model_.need(VideoDecoder::part).file->path.c_str(),
             static_cast<long long>(decoder_.latent_channels));
}

void Session::check_duration_head() {
    const auto head = open<DurationHead>(model_, processor());
    if (head->video_width() != context_width_ ||
        (makes_sound_ && head->audio_width() != audio_width_))
        fail(LTX2_STATUS_MODEL,
             "%s: the duration head reads rows of %lld and %lld, and the transformer of %s rows of "
             "%d and %d",
             model_.need(DurationHead::part).file->path.c_str(),
             static_cast<long long>(head->video_width()),
             static_cast<long long>(head->audio_width()), model_.need(Dit::part).file->path.c_str(),
             context_width_, audio_width_);
}

// The encoder that a transformer states it was trained with, as LTX-2.5's does.
static std::string wanted_version(const Part & dit) {
    const std::optional<Json> text = dit.file->metadata.find("gemma_source_checkpoint");
    if (!text || text->kind() != Json::Kind::string)
        return "";
    const std::string what = dit.file->path + ": gemma_source_checkpoint";
    const Config stated(Json::parse(text->string(what), what), what + ": ");
    return stated.text("gemma_version", "");
}

// LTX trained its Gemma 4 further; the stock one has the same shapes.
static void check_version(const Model & model) {
    const Part &own = model.need(TextEncoder::part), &dit = model.need(Dit::part);
    if (own.generations != ltx_2_5)
        return;
    const std::string stated = gemma_config(*own.file).version, wanted = wanted_version(dit);
    if (!stated.empty() && !wanted.empty() && stated != wanted)
        fail(LTX2_STATUS_MODEL,
             "%s: is the text encoder %s, and the transformer of %s was trained with %s; give that",
             own.file->path.c_str(), shown(stated).c_str(), dit.file->path.c_str(),
             shown(wanted).c_str());
    if (stated.empty() && own.file != model.need(Connector::projection_part).file)
        log(Level::warning,
            "%s: nothing tells whether it is LTX-2.5's own Gemma 4, which was trained further; the "
            "stock one is understood less well",
            own.file->path.c_str());
}

// The parts that only prompts need.
void Session::check_text() {
    const auto text = open<TextEncoder>(model_, device_);
    const auto connector = open<Connector>(model_, device_);
    Tokenizer::check(model_.need(TextEncoder::part));
    const auto file = [&](const char * part) { return model_.need(part).file->path.c_str(); };
    if (text->states() * text->width() != connector->input())
        fail(LTX2_STATUS_MODEL,
             "%s: has %d layers of %lld, and %s wants another text encoder; give %s, 48 layers of "
             "3840",
             file(TextEncoder::part), text->states() - 1, static_cast<long long>(text->width()),
             file(Connector::projection_part), model_.generation().encoder);
    if (connector->config().width() != context_width_)
        fail(LTX2_STATUS_MODEL,
             "%s: the connector gives rows of %d, and the transformer of %s reads rows of %d",
             file(Connector::part), connector->config().width(), file(Dit::part), context_width_);
    text_length_ = connector->config().text_length;
    check_version(model_);
    weights_ = std::max(text->weights(), connector->weights());
}

} // namespace ltx2
