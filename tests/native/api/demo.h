// The library as a stranger sees it, with the demo model: what every file of this folder begins
// with.
#pragma once

#include "check.h"

#include <cmath>
#include <functional>
#include <memory>

inline const char * const demo_files[] = {LTX2_DEMO "/ltx2-demo.gguf",
                                          LTX2_DEMO "/ltx2-demo-gemma.gguf"};

inline ltx2_session_params opening() {
    ltx2_session_params params = {};
    params.size = sizeof params;
    params.files = demo_files;
    params.file_count = 2;
    params.device = "CPU";
    params.threads = 2;
    return params;
}

inline ltx2_session * open_demo() {
    const ltx2_session_params params = opening();
    ltx2_session * session = nullptr;
    if (ltx2_session_open(&params, &session) != LTX2_STATUS_OK)
        fail_test(__FILE__, __LINE__, ltx2_last_error());
    return session;
}

inline ltx2_video_params small_video() {
    ltx2_video_params params = {};
    params.size = sizeof params;
    params.prompt = "a red circle moves right";
    params.width = params.height = 64;
    params.frames = 9;
    params.steps = 1;
    params.audio = -1;
    params.seed = 1;
    return params;
}

// Large enough that a graph takes longer than the pause between two reports from within it.
inline ltx2_video_params large_video() {
    ltx2_video_params params = small_video();
    params.width = params.height = 256;
    params.frames = 25;
    return params;
}

// The status of a generation; its video, if there is one, is freed.
inline ltx2_status generate(ltx2_session * session, const ltx2_video_params & params) {
    ltx2_video * video = nullptr;
    const ltx2_status status = ltx2_session_generate(session, &params, &video);
    if ((status == LTX2_STATUS_OK) != (video != nullptr))
        fail_test(__FILE__, __LINE__, "a video without success, or the other way round");
    ltx2_video_free(video);
    return status;
}

inline bool says(const char * words) { return std::strstr(ltx2_last_error(), words) != nullptr; }

// What is told of an exception. A library with a C++ library of its own cannot read another's.
inline std::string thrown(const char * words) {
    return std::string("the function threw ") + (LTX2_OWN_RUNTIME ? "an exception" : words);
}

// The call must be refused as the caller's mistake, in words that hold `part`.
#define CHECK_REFUSED(call, part)                                                                  \
    do {                                                                                           \
        const ltx2_status status = call;                                                           \
        if (status != LTX2_STATUS_INVALID_ARGUMENT || !says(part))                                 \
            fail_test(__FILE__, __LINE__,                                                          \
                      std::string(#call) + ": " + std::to_string(status) + " " +                   \
                          ltx2_last_error());                                                      \
    } while (0)
