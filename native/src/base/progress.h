// One door for reports and for stopping: every stage reports here, and a caller who says stop makes
// the next report throw.
#pragma once

#include "base/error.h"
#include "base/watch.h"

#include <atomic>
#include <chrono>
#include <exception>

namespace ltx2 {

// What `stage` may be, in the order of a generation.
inline constexpr const char * progress_stages[] = {"load",    "enhance", "text",   "image",
                                                   "denoise", "upscale", "decode", "sound"};

// What a function of the caller's answers; where there is none, yes. It must not throw: what it
// throws all the same is an Error from here on.
template <class What>
bool ask(const char * name, bool (*function)(const What *, void *), const What & what,
         void * user_data) {
    try {
        return !function || function(&what, user_data);
    } catch (...) {
        fail_thrown(name);
    }
}

class Progress {
public:
    Progress() = default;
    // `closed`: whether the session was closed meanwhile, which stops as well.
    Progress(ltx2_progress_fn function, void * user_data,
             const std::atomic<bool> * closed = nullptr)
        : function_(function), user_data_(user_data), closed_(closed) {}

    // Throws CANCELLED when the caller says stop.
    void operator()(const char * stage, int done, int total) const {
        last_ = {stage, done, total};
        reported_ = std::chrono::steady_clock::now();
        if (watch)
            watch->stage(stage);
        if (stops())
            fail_stopped();
    }

    // Repeats the last report when some time has passed; true: stop. For places inside a long
    // computation that cannot throw, on the caller's thread.
    bool stop_wanted() const {
        const auto now = std::chrono::steady_clock::now();
        if (!last_.stage || now - reported_ < std::chrono::milliseconds(50))
            return stopped_;
        reported_ = now;
        return stops();
    }
    [[noreturn]] void fail_stopped() const {
        if (thrown_)
            std::rethrow_exception(thrown_);
        fail(LTX2_STATUS_CANCELLED, "%s: cancelled at %d of %d", last_.stage, last_.done,
             last_.total);
    }

    Watch * watch = nullptr; // or nobody

private:
    // Never throws: ggml's frames, and its threads that wait for this one, would not survive it.
    bool stops() const {
        try {
            stopped_ =
                stopped_ || (closed_ && *closed_) || !ask("progress", function_, last_, user_data_);
        } catch (...) {
            stopped_ = true;
            thrown_ = std::current_exception();
        }
        return stopped_;
    }

    ltx2_progress_fn function_ = nullptr;
    void * user_data_ = nullptr;
    const std::atomic<bool> * closed_ = nullptr;
    mutable ltx2_progress last_ = {nullptr, 0, 0};
    mutable std::chrono::steady_clock::time_point reported_{};
    mutable bool stopped_ = false;
    mutable std::exception_ptr thrown_;
};

} // namespace ltx2
