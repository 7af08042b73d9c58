// The C boundary, nothing else: every body runs in guard(), every struct comes in by received().
#include "base/error.h"
#include "base/last_error.h"
#include "base/log.h"
#include "capabilities.h"
#include "convert.h"
#include "graph/device.h"
#include "model/describe.h"
#include "session.h"

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>
#include <stdexcept>

using namespace ltx2;

// Turns whatever is thrown into a status and words; nothing thrown crosses into C.
template <class Body>
static ltx2_status guard(Body && body) noexcept {
    const auto failed = [](ltx2_status status, const char * text) noexcept {
        set_last_error(text);
        return status;
    };
    try {
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

// The caller's struct in this library's form: fields it does not know yet are zero. `first` is
// where the struct ended in its first release.
template <class Params>
static Params received(const Params * params, size_t first, const char * name) {
    if (!params)
        fail(LTX2_STATUS_INVALID_ARGUMENT, "%s: null", name);
    size_t size;
    std::memcpy(&size, params, sizeof size);
    if (size < first || size > sizeof(Params))
        fail(LTX2_STATUS_INVALID_ARGUMENT,
             "%s.size: %zu is not in %zu..%zu; set it to sizeof the struct", name, size, first,
             sizeof(Params));
    Params copy;
    std::memset(&copy, 0, sizeof copy);
    std::memcpy(&copy, params, size);
    return copy;
}

static void need(const void * pointer, const char * name) {
    if (!pointer)
        fail(LTX2_STATUS_INVALID_ARGUMENT, "%s: null", name);
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

struct ltx2_session {
    Session session;
    std::atomic_flag busy = ATOMIC_FLAG_INIT;
};

const char * ltx2_version(void) { return LTX2_VERSION; }
const char * ltx2_last_error(void) { return last_error(); }
void ltx2_log_set(ltx2_log_fn function, void * user_data) { log_set(function, user_data); }

// Device names are asked for once: a name must stay valid for the process.
static const std::vector<std::string> & device_names() {
    static const std::vector<std::string> names = Device::names();
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

static char * copied(const std::string & text) {
    char * copy = static_cast<char *>(std::malloc(text.size() + 1));
    if (!copy)
        throw std::bad_alloc();
    std::memcpy(copy, text.c_str(), text.size() + 1);
    return copy;
}

ltx2_status ltx2_capabilities(char ** out) {
    return guard_out(out, [] { return copied(capabilities().dump()); });
}

ltx2_status ltx2_file_describe(const char * file, char ** out) {
    return guard_out(out, [&] {
        need(file, "file");
        return copied(describe(read_tensor_file(file)).dump());
    });
}

void ltx2_text_free(char * text) { std::free(text); }

static std::vector<std::string> paths(const char * const * files, size_t count) {
    std::vector<std::string> out;
    if (count)
        need(files, "files");
    for (size_t i = 0; i < count; ++i) {
        need(files[i], "files[i]");
        out.emplace_back(files[i]);
    }
    if (out.empty())
        fail(LTX2_STATUS_INVALID_ARGUMENT, "files: none given");
    return out;
}

ltx2_status ltx2_session_open(const ltx2_session_params * params, ltx2_session ** out) {
    return guard_out(out, [&] {
        const auto p = received(
            params, offsetof(ltx2_session_params, keep_loaded) + sizeof params->keep_loaded,
            "ltx2_session_params");
        const std::vector<std::string> files = paths(p.files, p.file_count);
        if (p.threads < 0 || p.threads > 512)
            fail(LTX2_STATUS_INVALID_ARGUMENT, "threads: %d is not in 0..512", p.threads);
        return new ltx2_session{{files, p.device ? p.device : "", p.threads, p.keep_loaded}};
    });
}

void ltx2_session_close(ltx2_session * session) {
    guard([&] { delete session; });
}

// One call at a time: from its own progress function, or from another thread, a second one would
// find half a state.
template <class Call>
static auto in_session(ltx2_session * session, Call && call) {
    need(session, "session");
    if (session->busy.test_and_set())
        fail(LTX2_STATUS_INVALID_ARGUMENT, "session: a call is under way");
    struct Idle {
        ltx2_session & session;
        ~Idle() { session.busy.clear(); }
    } idle{*session};
    return call(session->session);
}

ltx2_status ltx2_session_generate(ltx2_session * session, const ltx2_video_params * params,
                                  ltx2_video ** out) {
    return guard_out(out, [&] {
        const auto p =
            received(params, offsetof(ltx2_video_params, user_data) + sizeof params->user_data,
                     "ltx2_video_params");
        need(p.prompt, "prompt");
        return in_session(session, [&](Session & s) { return s.generate(p).release(); });
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
        return in_session(session, [&](Session & s) { return s.decode(p).release(); });
    });
}

void ltx2_video_free(ltx2_video * video) {
    guard([&] { delete static_cast<Video *>(video); });
}

ltx2_status ltx2_conversion_open(const ltx2_conversion_params * params, ltx2_conversion ** out) {
    return guard_out(out, [&] {
        const auto p =
            received(params, offsetof(ltx2_conversion_params, variant) + sizeof params->variant,
                     "ltx2_conversion_params");
        return new Conversion(paths(p.files, p.file_count), p.type ? p.type : "q8_0",
                              p.variant ? p.variant : "");
    });
}

ltx2_status ltx2_conversion_read(const ltx2_conversion * conversion, int32_t tensor, int64_t first,
                                 int64_t count, void * out, size_t size) {
    return guard([&] {
        need(conversion, "conversion");
        need(out, "out");
        static_cast<const Conversion *>(conversion)->read(tensor, first, count, out, size);
    });
}

void ltx2_conversion_close(ltx2_conversion * conversion) {
    guard([&] { delete static_cast<Conversion *>(conversion); });
}
