#include "base/log.h"

#include "base/aborts.h"
#include "base/utf8.h"
#include "ggml.h"

#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <mutex>

namespace ltx2 {

// The one thing of the library that belongs to the process: ggml knows one log function as well.
// The lock is held while the caller's function runs: once log_set is back, the one before it runs
// nowhere, unless it is that which called log_set.
static std::recursive_mutex mutex;
static ltx2_log_fn log_function = nullptr;
static void * log_user_data = nullptr;
static bool speaking = false; // to the caller's function; what that makes us say is dropped

// `words` made visible, into memory that is there: messages tell of memory that ran out, too.
static void send(Level level, const char * words) {
    char message[512];
    size_t size = 0;
    const std::string_view text(words);
    for (size_t at = 0; at < text.size();) {
        const Glyph next = glyph(text.substr(at));
        const size_t more = std::strlen(next.words);
        if (size + more >= sizeof message)
            break;
        std::memcpy(message + size, next.words, more);
        size += more;
        at += next.length;
    }
    message[size] = '\0';
    const std::lock_guard<std::recursive_mutex> lock(mutex);
    if (!log_function || speaking)
        return;
    speaking = true;
    try {
        log_function(static_cast<int>(level), message, log_user_data);
    } catch (...) { // it must not throw; a message is no reason to end a call
    }
    speaking = false;
}

static void from_ggml(ggml_log_level level, const char * text, void *) {
    // No std::string: ggml says this where memory has run out, from code that nothing may unwind.
    char message[512];
    std::snprintf(message, sizeof message, "%s", text ? text : "");
    size_t length = std::strlen(message);
    while (length && message[length - 1] == '\n')
        message[--length] = '\0';
    if (!length)
        return;
    if (level == GGML_LOG_LEVEL_ERROR)
        AbortsThrow::hear(message);
    // What ggml calls information is detail to a person who wants a video.
    send(level == GGML_LOG_LEVEL_ERROR  ? Level::error
         : level == GGML_LOG_LEVEL_WARN ? Level::warning
                                        : Level::debug,
         message);
}

// When the library is loaded: without a log function nothing is ever printed.
static const bool silenced = [] {
    ggml_log_set(from_ggml, nullptr);
    ggml_set_abort_callback(on_abort);
    return true;
}();

void log_set(ltx2_log_fn function, void * user_data) {
    const std::lock_guard<std::recursive_mutex> lock(mutex);
    log_function = function;
    log_user_data = user_data;
}

void log(Level level, const char * format, ...) {
    char message[512];
    va_list args;
    va_start(args, format);
    std::vsnprintf(message, sizeof message, format, args);
    va_end(args);
    send(level, message);
}

} // namespace ltx2
