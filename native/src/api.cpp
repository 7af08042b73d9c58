// The C boundary, nothing else: every body runs in guard(), every struct comes in by received().
#include "base/error.h"
#include "base/handles.h"
#include "base/last_error.h"
#include "base/log.h"
#include "capabilities.h"
#include "convert.h"
#include "graph/device.h"
#include "model/describe.h"
#include "session.h"

#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <stdexcept>

#if !defined(_WIN32)
#include <pthread.h>
#endif

using namespace ltx2;

// A thread that is cancelled within a call would leave locks and other threads waiting: it is once
// the call has ended.
class Uncancelled {
#if !defined(_WIN32)
public:
    Uncancelled() { pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before_); }
    ~Uncancelled() { pthread_setcancelstate(before_, nullptr); }

private:
    int before_ = PTHREAD_CANCEL_ENABLE;
#endif
};

// Turns whatever is thrown into a status and words; nothing thrown crosses into C.
template <class Body>
static ltx2_status guard(Body && body) noexcept {
    const auto failed = [](ltx2_status status, const char * text) noexcept {
        set_last_error(text);
        return status;
    };
    try {
        [[maybe_unused]] const Uncancelled uncancelled; // empty on Windows
        body();
        return LTX2_STATUS_OK;
    } catch (const Error & e) {
        return failed(e.status(), e.what());
    } catch (const std::bad_alloc &) {
        return failed(LTX2_STATUS_OUT_OF_MEMORY, "memory: an allocation failed");
    } catch (const std::length_error &) {
        return failed(LTX2_STATUS_OUT_OF_MEMORY, "memory: an allocation is too large");
    } catch (const std::exception & e) {
        return failed(LTX2_STATUS_INTERNAL, e.what());
    } catch (...) {
        return failed(LTX2_STATUS_INTERNAL, "internal: an unknown exception");
    }
}

// The caller's struct in this library's form: fields it does not know yet are zero, and so must be
// those that this library does not know. `first` is where the struct ended in its first release.
template <class Params>
static Params received(const Params * params, size_t first, const char * name) {
    need(params, name);
    const size_t size = params->size;
    const size_t most = sizeof(Params) + 512;
    if (size < first || size > most || size % alignof(Params))
        fail(LTX2_STATUS_INVALID_ARGUMENT,
             "%s.size: %zu is no size that this struct has had; set it to sizeof the struct", name,
             size);
    const auto * bytes = reinterpret_cast<const unsigned char *>(params);
    for (size_t i = sizeof(Params); i < size; ++i)
        if (bytes[i])
            fail(LTX2_STATUS_INVALID_ARGUMENT,
                 "%s.size: %zu, and what lies beyond the %zu bytes that this library, %s, knows is "
                 "not zero",
                 name, size, sizeof(Params), ltx2_version());
    Params copy;
    std::memset(&copy, 0, sizeof copy);
    std::memcpy(&copy, params, std::min(size, sizeof copy));
    return copy;
}

// guard() of a call that makes something: `out` is null until it is made.
template <class Out, class Make>
static ltx2_status guard_out(Out ** out, Make && make) {
    return guard([&] {
        need(out, "out");
        *out = nullptr;
        *out = make();
    });
}

// ---- what callers hold

// One call at a time: from its own progress function, or from another thread, a second one would
// find half a state.
struct OpenSession {
    Session session;
    std::atomic_flag busy = ATOMIC_FLAG_INIT;
};

struct Held {
    Handles<OpenSession> sessions;
    Handles<Video> videos;
    Handles<Features> features;
    Handles<Conversion> conversions;
    Handles<std::string> texts;
};

// Never destroyed: when a program ends, other threads of it may still be in a call.
static Held & held() {
    static Held & all = *new Held;
    return all;
}

// What is released twice, or is none of ours, is told to the log: these calls have no status.
template <class T>
static std::shared_ptr<T> take(Handles<T> & table, const void * handle, const char * what) {
    std::shared_ptr<T> object = table.take(handle);
    if (handle && !object)
        log(Level::warning, "%s: released twice, or never given out; ignored", what);
    return object;
}

// Addresses are used again; a number is not, so a session that is closed is never taken for a later
// one.
static ltx2_session * next_session() {
    static std::atomic<uintptr_t> count{0};
    return reinterpret_cast<ltx2_session *>(++count * alignof(std::max_align_t));
}

static char * held_text(std::string text) {
    const auto object = std::make_shared<std::string>(std::move(text));
    held().texts.add(object->data(), object);
    return object->data();
}

static ltx2_video * held_video(std::shared_ptr<Video> video) {
    held().videos.add(static_cast<ltx2_video *>(video.get()), video);
    return video.get();
}

// ---- the functions

const char * ltx2_version(void) { return LTX2_VERSION; }
const char * ltx2_last_error(void) { return last_error(); }
void ltx2_log_set(ltx2_log_fn function, void * user_data) {
    guard([&] { log_set(function, user_data); });
}

// Device names are asked for once: a name must stay valid for the process.
static const std::vector<std::string> & device_names() {
    static const auto & names = *new std::vector<std::string>(Device::names());
    return names;
}

int32_t ltx2_device_count(void) {
    int32_t count = 0;
    guard([&] { count = static_cast<int32_t>(device_names().size()); });
    return count;
}

const char * ltx2_device_name(int32_t index) {
    const char * name = nullptr;
    guard([&] {
        if (index >= 0 && static_cast<size_t>(index) < device_names().size())
            name = device_names()[static_cast<size_t>(index)].c_str();
    });
    return name;
}

ltx2_status ltx2_try_devices(char ** out) {
    return guard_out(out, [] { return held_text(try_devices().dump()); });
}

ltx2_status ltx2_capabilities(char ** out) {
    return guard_out(out, [] { return held_text(capabilities().dump()); });
}

ltx2_status ltx2_file_describe(const char * file, char ** out) {
    return guard_out(out, [&] {
        need(file, "file");
        return held_text(describe(read_tensor_file(file)).dump());
    });
}

void ltx2_text_free(char * text) {
    guard([&] { take(held().texts, text, "text"); });
}

static constexpr size_t most_texts = 1 << 16; // a folder counts as one

static std::vector<std::string> texts(const char * const * values, size_t count,
                                      const std::string & name) {
    std::vector<std::string> out;
    if (count)
        need(values, name.c_str());
    if (count > most_texts)
        fail(LTX2_STATUS_INVALID_ARGUMENT, "%s: %zu given, and at most %zu are taken", name.c_str(),
             count, most_texts);
    for (size_t i = 0; i < count; ++i) {
        need(values[i], (name + "[i]").c_str());
        out.emplace_back(values[i]);
    }
    return out;
}

static std::vector<std::string> paths(const char * const * files, size_t count) {
    std::vector<std::string> out = texts(files, count, "files");
    if (out.empty())
        fail(LTX2_STATUS_INVALID_ARGUMENT, "files: none given");
    return out;
}

static constexpr size_t most_loras = 64;

static std::vector<Adapter> adapters(const ltx2_lora * loras, size_t count) {
    std::vector<Adapter> out;
    if (count)
        need(loras, "loras");
    if (count > most_loras)
        fail(LTX2_STATUS_INVALID_ARGUMENT, "loras: %zu given, and at most %zu are taken", count,
             most_loras);
    for (size_t i = 0; i < count; ++i) {
        need(loras[i].file, words("loras[%zu].file", i).c_str());
        const float strength = loras[i].strength;
        if (!std::isfinite(strength) || std::abs(strength) > 100)
            fail(LTX2_STATUS_INVALID_ARGUMENT, "loras[%zu].strength: %g is not in -100..100", i,
                 double{strength});
        const float given = strength != 0 ? strength : 1;
        out.push_back({loras[i].file, given, given});
    }
    return out;
}

ltx2_status ltx2_session_open(const ltx2_session_params * params, ltx2_session ** out) {
    return guard_out(out, [&] {
        const auto p =
            received(params, offsetof(ltx2_session_params, lora_count) + sizeof params->lora_count,
                     "ltx2_session_params");
        const std::vector<std::string> files = paths(p.files, p.file_count);
        if (p.threads < 0 || p.threads > 512)
            fail(LTX2_STATUS_INVALID_ARGUMENT, "threads: %d is not in 0..512", p.threads);
        if (p.keep_loaded && p.low_memory)
            fail(LTX2_STATUS_INVALID_ARGUMENT,
                 "low_memory: contradicts keep_loaded; leave one of them out");
        const std::string device = p.device ? p.device : "";
        const std::shared_ptr<OpenSession> open(
            new OpenSession{{files, adapters(p.loras, p.lora_count), device, p.threads,
                             p.keep_loaded, p.low_memory}});
        ltx2_session * session = next_session();
        held().sessions.add(session, open);
        return session;
    });
}

const char * ltx2_session_device(ltx2_session * session) {
    const char * name = nullptr;
    guard([&] {
        if (const auto open = held().sessions.find(session))
            name = open->session.device();
    });
    return name;
}

void ltx2_session_close(ltx2_session * session) {
    guard([&] {
        // The last to hold it frees it: a call that is under way, else this one.
        if (const auto open = take(held().sessions, session, "session"))
            open->session.close();
    });
}

template <class Call>
static auto in_session(ltx2_session * session, Call && call) {
    if (!session)
        fail(LTX2_STATUS_INVALID_ARGUMENT, "session: null");
    const std::shared_ptr<OpenSession> open = held().sessions.find(session);
    if (!open)
        fail(LTX2_STATUS_INVALID_ARGUMENT, "session: closed, or never opened");
    if (open->busy.test_and_set())
        fail(LTX2_STATUS_INVALID_ARGUMENT, "session: a call is under way");
    struct Idle {
        OpenSession & open;
        ~Idle() { open.busy.clear(); }
    } idle{*open};
    return call(open->session);
}

// The caller's, whose first release ended at `user_data`.
static ltx2_video_params video_params(const ltx2_video_params * params) {
    return received(params, offsetof(ltx2_video_params, user_data) + sizeof params->user_data,
                    "ltx2_video_params");
}

ltx2_status ltx2_session_plan(ltx2_session * session, const ltx2_video_params * params,
                              const char * speeds, char ** out) {
    return guard_out(out, [&] {
        const ltx2_video_params p = video_params(params);
        return in_session(session, [&](Session & s) {
            return held_text(s.plan(p, speeds ? speeds : "").dump());
        });
    });
}

ltx2_status ltx2_session_generate(ltx2_session * session, const ltx2_video_params * params,
                                  ltx2_video ** out) {
    return guard_out(out, [&] {
        const ltx2_video_params p = video_params(params);
        return in_session(session, [&](Session & s) { return held_video(s.generate(p)); });
    });
}

ltx2_status ltx2_session_settings(ltx2_session * session, const ltx2_video_params * params,
                                  char ** out) {
    return guard_out(out, [&] {
        const ltx2_video_params p = video_params(params);
        return in_session(session, [&](Session & s) { return held_text(s.settings(p).dump()); });
    });
}

ltx2_status ltx2_session_encode(ltx2_session * session, const ltx2_video_params * params,
                                ltx2_features ** out) {
    return guard_out(out, [&] {
        const ltx2_video_params p = video_params(params);
        const std::shared_ptr<Features> made =
            in_session(session, [&](Session & s) { return s.encode(p); });
        ltx2_features * features = made.get();
        held().features.add(features, made);
        return features;
    });
}

ltx2_status ltx2_session_enhance(ltx2_session * session, const ltx2_enhance_params * params,
                                 char ** out) {
    return guard_out(out, [&] {
        const auto p =
            received(params, offsetof(ltx2_enhance_params, user_data) + sizeof params->user_data,
                     "ltx2_enhance_params");
        need(p.prompt, "prompt");
        return in_session(session, [&](Session & s) { return held_text(s.enhance(p)); });
    });
}

void ltx2_features_free(ltx2_features * features) {
    guard([&] { take(held().features, features, "features"); });
}

ltx2_status ltx2_session_encode_frames(ltx2_session * session, const ltx2_frames_params * params,
                                       ltx2_video ** out) {
    return guard_out(out, [&] {
        const auto p =
            received(params, offsetof(ltx2_frames_params, user_data) + sizeof params->user_data,
                     "ltx2_frames_params");
        need(p.pixels, "pixels");
        return in_session(session, [&](Session & s) { return held_video(s.encode(p)); });
    });
}

ltx2_status ltx2_session_decode(ltx2_session * session, const ltx2_decode_params * params,
                                ltx2_video ** out) {
    return guard_out(out, [&] {
        const auto p =
            received(params, offsetof(ltx2_decode_params, user_data) + sizeof params->user_data,
                     "ltx2_decode_params");
        need(p.latents, "latents");
        need(p.latents->values, "latents.values");
        return in_session(session, [&](Session & s) { return held_video(s.decode(p)); });
    });
}

void ltx2_video_free(ltx2_video * video) {
    guard([&] { take(held().videos, video, "video"); });
}

ltx2_status ltx2_conversion_open(const ltx2_conversion_params * params, ltx2_conversion ** out) {
    return guard_out(out, [&] {
        const auto p =
            received(params, offsetof(ltx2_conversion_params, variant) + sizeof params->variant,
                     "ltx2_conversion_params");
        ConversionRequest request{paths(p.files, p.file_count)};
        if (p.type)
            request.type = p.type;
        if (p.variant)
            request.variant = p.variant;
        request.tensor_type = texts(p.tensor_type, p.tensor_type_count, "tensor_type");
        request.audio = p.audio >= 0;
        request.target_size = p.target_size;
        request.adapters = adapters(p.loras, p.lora_count);
        const auto made = std::make_shared<Conversion>(request);
        ltx2_conversion * conversion = made.get();
        held().conversions.add(conversion, made);
        return conversion;
    });
}

ltx2_status ltx2_conversion_read(const ltx2_conversion * conversion, int32_t tensor, int64_t first,
                                 int64_t count, void * out, size_t size) {
    return guard([&] {
        need(conversion, "conversion");
        need(static_cast<const float *>(out), "out"); // a tensor's values may be such
        const std::shared_ptr<Conversion> made = held().conversions.find(conversion);
        if (!made)
            fail(LTX2_STATUS_INVALID_ARGUMENT, "conversion: closed, or never opened");
        made->read(tensor, first, count, out, size);
    });
}

void ltx2_conversion_close(ltx2_conversion * conversion) {
    guard([&] { take(held().conversions, conversion, "conversion"); });
}
