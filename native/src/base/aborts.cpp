#include "base/aborts.h"

#include "base/log.h"

#include <cstdio>
#include <mutex>

namespace ltx2 {

Aborted::Aborted(const char * why, const char * words) {
    std::snprintf(words_, sizeof words_, "%s%s%s", why, *why ? ": " : "", words);
}

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

AbortsThrow * AbortsThrow::newest() {
    AbortsThrow * one = catching;
    while (one && one->thread_ != std::this_thread::get_id())
        one = one->older_;
    return one;
}

bool AbortsThrow::in_this_thread() {
    const std::lock_guard<std::mutex> lock(catching_mutex);
    return newest();
}

void AbortsThrow::hear(const char * words) {
    const std::lock_guard<std::mutex> lock(catching_mutex);
    AbortsThrow * one = newest();
    if (one && *words != ' ') // else it goes on with where that was
        std::snprintf(one->heard_, sizeof one->heard_, "%s", words);
}

// In place of words on stderr and a debugger that is started.
void on_abort(const char * words) {
    std::unique_lock<std::mutex> lock(catching_mutex);
    if (const AbortsThrow * one = AbortsThrow::newest())
        throw Aborted(one->heard_, words);
    lock.unlock();
    log(Level::error, "%s", words); // it ends now
}

} // namespace ltx2
