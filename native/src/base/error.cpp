#include "base/error.h"

#include "base/utf8.h"

#include <cstdarg>
#include <cstdio>

namespace ltx2 {

static constexpr size_t longest_words = 4096;

Error::Error(Status status, const std::string & words)
    : status_(status), words_(visible(words, longest_words)) {}

static std::string vwords(const char * format, va_list args) {
    va_list again;
    va_copy(again, args);
    const int length = std::vsnprintf(nullptr, 0, format, again);
    va_end(again);
    std::string text(length > 0 ? static_cast<size_t>(length) : 0, '\0');
    std::vsnprintf(&text[0], text.size() + 1, format, args);
    return text;
}

std::string words(const char * format, ...) {
    va_list args;
    va_start(args, format);
    std::string text = vwords(format, args);
    va_end(args);
    return text;
}

void fail(Status status, const char * format, ...) {
    va_list args;
    va_start(args, format);
    std::string text = vwords(format, args);
    va_end(args);
    throw Error(status, text);
}

// An exception of another language's runtime comes through `catch (...)` alone.
void fail_thrown(const char * name) {
    std::string what = "an exception";
    try {
        throw;
    } catch (const std::exception & e) {
        what = shown(e.what());
    } catch (...) {
    }
    fail(LTX2_STATUS_INVALID_ARGUMENT, "%s: the function threw %s; it must return", name,
         what.c_str());
}

} // namespace ltx2
