#include "faults/calls.h"

#include "faults/failing.h"

#include <cstdio>
#include <cstring>
#include <memory>

namespace {

using Files = std::vector<const char *>;

template <auto Free>
struct Deleter {
    template <class T>
    void operator()(T * p) const {
        Free(p);
    }
};
template <class T, auto Free>
using Owner = std::unique_ptr<T, Deleter<Free>>;

// What a call may not allocate itself, since that would fail as well.
struct Hash {
    size_t value = 14695981039346656037u;
    void add(const void * data, size_t size) {
        for (size_t i = 0; i < size; ++i)
            value = (value ^ static_cast<const uint8_t *>(data)[i]) * 1099511628211u;
    }
};

// Ends the disorder, to look at what it left.
Outcome ended(ltx2_status status, const Hash & hash) {
    failing::end();
    if (status == LTX2_STATUS_OK)
        return {status, "", hash.value};
    return {status, ltx2_last_error(), 0};
}

Outcome start(const Files &, int) {
    Hash hash;
    char * text = nullptr;
    const bool has_device = ltx2_device_count() > 0 && ltx2_device_name(0);
    const ltx2_status status = ltx2_capabilities(&text);
    if (text)
        hash.add(text, std::strlen(text));
    ltx2_text_free(text);
    // The count says with 0 that it failed; its words are the last failure's, or a later one's.
    return ended(has_device ? status : LTX2_STATUS_OUT_OF_MEMORY, hash);
}

Outcome describe(const Files & files, int) {
    Hash hash;
    ltx2_status status = LTX2_STATUS_OK;
    for (size_t i = 0; i < files.size() && status == LTX2_STATUS_OK; ++i) {
        char * text = nullptr;
        status = ltx2_file_describe(files[i], &text);
        if (text)
            hash.add(text, std::strlen(text));
        ltx2_text_free(text);
    }
    return ended(status, hash);
}

void add(Hash & hash, const ltx2_video * video) {
    if (video)
        hash.add(video->pixels, size_t{3} * static_cast<size_t>(video->frames) *
                                    static_cast<size_t>(video->height) *
                                    static_cast<size_t>(video->width));
}

ltx2_status decode(ltx2_session * session, const ltx2_video * made, Hash & hash) {
    ltx2_decode_params params{};
    params.size = sizeof params;
    params.latents = made->latents;
    ltx2_video * video = nullptr;
    const ltx2_status status = ltx2_session_decode(session, &params, &video);
    add(hash, video);
    ltx2_video_free(video);
    return status;
}

ltx2_status generate(ltx2_session * session, Hash & hash) {
    static const uint8_t pixels[16 * 16 * 3] = {};
    const ltx2_image image = {pixels, 16, 16, 0, 1};
    ltx2_video_params params{};
    params.size = sizeof params;
    params.prompt = "a red circle moves right on a blue background";
    params.images = &image, params.image_count = 1;
    params.width = params.height = 32, params.frames = 9, params.steps = 1, params.seed = 7;
    params.audio = -1; // of which there is much more, and nothing else
    ltx2_video * video = nullptr;
    ltx2_status status = ltx2_session_generate(session, &params, &video);
    add(hash, video);
    if (status == LTX2_STATUS_OK)
        status = decode(session, video, hash);
    ltx2_video_free(video);
    return status;
}

// A text encoder that cannot be asked says so, which is right as well.
ltx2_status enhance(ltx2_session * session, Hash & hash) {
    ltx2_enhance_params params{};
    params.size = sizeof params;
    params.prompt = "a red circle", params.instructions = "Say more.";
    params.tokens = 3, params.seed = 7;
    char * text = nullptr;
    const ltx2_status status = ltx2_session_enhance(session, &params, &text);
    if (text)
        hash.add(text, std::strlen(text));
    ltx2_text_free(text);
    const bool refused = status == LTX2_STATUS_MODEL && std::strstr(ltx2_last_error(), "has no <");
    return refused ? LTX2_STATUS_OK : status;
}

// Where it fails, the same session must give it afterwards.
Outcome in_session(const Files & files, int threads,
                   ltx2_status (*work)(ltx2_session * session, Hash & hash)) {
    ltx2_session_params params{};
    params.size = sizeof params;
    params.files = files.data(), params.file_count = files.size();
    params.threads = threads;
    Hash hash, again;
    ltx2_session * opened = nullptr;
    ltx2_status status = ltx2_session_open(&params, &opened);
    const Owner<ltx2_session, ltx2_session_close> session(opened);
    if (status == LTX2_STATUS_OK)
        status = work(opened, hash);
    Outcome outcome = ended(status, hash);
    if (status != LTX2_STATUS_OK && opened) {
        if (work(opened, again) != LTX2_STATUS_OK)
            return {LTX2_STATUS_INTERNAL, std::string("then: ") + ltx2_last_error(), 0};
        outcome.result = again.value;
    }
    return outcome;
}

Outcome video(const Files & files, int threads) { return in_session(files, threads, generate); }
Outcome prompt(const Files & files, int threads) { return in_session(files, threads, enhance); }

// Of a tensor that takes several threads.
int32_t tensor(const char * plan) {
    const char * end = std::strstr(plan, "model.diffusion_model.adaln_single.linear.weight");
    int32_t index = -1; // counts the names up to its own
    for (const char * at = std::strstr(plan, "\"tensors\""); at && end && at < end; ++index)
        at = std::strstr(at + 1, "{\"name\"");
    return index - 1;
}

Outcome convert(const Files & files, int) {
    Hash hash;
    constexpr int64_t values = 480 * 480; // F16
    static uint8_t room[values * 2];
    ltx2_conversion_params params{};
    params.size = sizeof params;
    params.files = files.data() + 1, params.file_count = 1;
    ltx2_conversion * opened = nullptr;
    ltx2_status status = ltx2_conversion_open(&params, &opened);
    const Owner<ltx2_conversion, ltx2_conversion_close> conversion(opened);
    if (status == LTX2_STATUS_OK) {
        hash.add(opened->plan, std::strlen(opened->plan));
        status = ltx2_conversion_read(opened, tensor(opened->plan), 0, values, room, sizeof room);
        hash.add(room, sizeof room);
    }
    return ended(status, hash);
}

} // namespace

const std::vector<Call> all_calls = {{"start", start, true},        {"first-video", video, true},
                                     {"describe", describe, false}, {"video", video, false},
                                     {"enhance", prompt, false},    {"convert", convert, false}};
