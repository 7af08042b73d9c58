// What a run can be given in place of work: the features of its prompts, and the settings that it
// was made with.
#include "base/finite.h"
#include "files/paths.h"
#include "model/fingerprint.h"
#include "session.h"

namespace ltx2 {

Json Session::settings(const ltx2_video_params & params) {
    const Leave leave{*this};
    return while_unchanged(model_, [&] {
        const Progress progress(params.progress, params.user_data, &closed_);
        const Request want = request(params, progress);
        check_pixels(want.result());
        check_memory(want, progress);
        Json settings = want.settings();
        settings.set("usual_frames", defaults_.frames);
        Json::Object parts;
        for (const PartRow & row : part_rows()) // what the duration head told is a setting
            if (const Part * part = row.is_loaded() ? model_.find(row.id) : nullptr;
                part && (want.audio || !row.sound) && row.id != std::string(DurationHead::part))
                parts.add(row.id, fingerprint(*part));
        Json::Array loras;
        for (const Adapter & adapter : model_.adapters())
            loras.push_back(about(adapter));
        if (!loras.empty())
            settings.set("loras", loras);
        settings.set("generation", model_.generation().name);
        settings.set("crf", model_.generation().crf);
        settings.set("device", std::string(ggml_backend_dev_name(device_.ggml())));
        settings.set("parts", parts);
        return settings;
    });
}

std::unique_ptr<Features> Session::encode(const ltx2_video_params & params) {
    const Leave leave{*this};
    const Progress progress(params.progress, params.user_data, &closed_);
    return while_unchanged(model_, [&] {
        const Request want = request(params, progress);
        check_memory("encoding a prompt", static_cast<double>(weights_), progress,
                     [&](const Progress & counted) { encode(want, counted); });
        return std::make_unique<Features>(encode(want, progress));
    });
}

Features::Features(std::vector<TextFeatures> all) : ltx2_features{}, texts(std::move(all)) {
    values = texts.front().values.data();
    negative = texts.size() > 1 ? texts[1].values.data() : nullptr;
    rows = static_cast<int32_t>(texts.front().rows);
    width = static_cast<int32_t>(texts.front().width);
}

// The caller's features, as if they had been encoded here.
std::vector<TextFeatures> Session::given(const Request & want) const {
    const ltx2_features & f = *want.features;
    const int width = context_width_ + (want.audio ? audio_width_ : 0);
    if (f.width == context_width_ && want.audio)
        fail(LTX2_STATUS_INVALID_ARGUMENT,
             "features: are of the video alone; encode the prompt with sound, or switch audio off");
    const bool both = f.width == context_width_ + audio_width_ && makes_sound_;
    if (f.width != width && !both)
        fail(LTX2_STATUS_INVALID_ARGUMENT,
             "features: their rows have %d values, and the model reads %d; encode the prompt with "
             "this model's text encoder",
             f.width, width);
    const size_t count = static_cast<size_t>(f.rows) * static_cast<size_t>(f.width);
    std::vector<TextFeatures> texts;
    for (const float * values : {f.values, want.uses_negative() ? f.negative : nullptr}) {
        if (!values)
            continue;
        texts.push_back({f.rows, f.width, std::vector<float>(values, values + count)});
        if (both && !want.audio && !want.length_is_open) // else the sound's tell the length too
            texts.back() = texts.back().columns(0, context_width_);
        if (!all_finite(texts.back().values))
            fail(LTX2_STATUS_INVALID_ARGUMENT, "features: hold a value that is not finite");
    }
    return texts;
}

} // namespace ltx2
