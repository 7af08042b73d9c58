#include "base/aborts.h"

#include "base/log.h"

#include <cstdio>
#include <mutex>

namespace ltx2 {

Aborted::Aborted(const char * words) { std::snprintf(words_, sizeof words_, "%s", words); }

// All that live, the newest first. No variable of a thread's own, and no allocation:
// docs/decisions/0004-ggml-guard.md.
static std::mutex catching_mutex;
static AbortsThrow * catching = nullptr;

AbortsThrow::AbortsThrow() : thread_(std::this_thread::get_id()) {
    const std::lock_guard<std::mutex> lock(catching_mutex);
    older_ = catching;
    catching = this;
}

AbortsThrow::~AbortsThrow() {
    const std::lock_guard<std::mutex> lock(catching_mutex);
    AbortsThrow ** link = &catching;
    while (*link != this)
        link = &(*link)->older_;
    *link = older_;
}

bool AbortsThrow::in_this_thread() {
    const std::lock_guard<std::mutex> lock(catching_mutex);
    const AbortsThrow * one = catching;
    while (one && one->thread_ != std::this_thread::get_id())
        one = one->older_;
    return one;
}

// In place of words on stderr and a debugger that is started.
void on_abort(const char * words) {
    if (AbortsThrow::in_this_thread())
        throw Aborted(words);
    log(Level::error, "%s", words); // it ends now
}

} // namespace ltx2
