// One door for reports and for stopping: every stage reports here, and a caller who says stop makes
// the next report throw.
#pragma once

#include "base/error.h"

#include <chrono>

namespace ltx2 {

// What `stage` may be, in the order of a generation.
inline constexpr const char * progress_stages[] = {"load", "text", "image", "denoise", "decode"};

class Progress {
public:
    Progress() = default;
    Progress(ltx2_progress_fn function, void * user_data)
        : function_(function), user_data_(user_data) {}

    // Throws CANCELLED when the caller says stop.
    void operator()(const char * stage, int done, int total) const {
        last_ = {stage, done, total};
        reported_ = std::chrono::steady_clock::now();
        if (function_ && (stopped_ = stopped_ || !function_(&last_, user_data_)))
            fail_stopped();
    }

    // Repeats the last report when some time has passed; true: stop. For places inside a long
    // computation that cannot throw, on the caller's thread.
    bool stop_wanted() const {
        const auto now = std::chrono::steady_clock::now();
        if (!function_ || !last_.stage || now - reported_ < std::chrono::milliseconds(50))
            return stopped_;
        reported_ = now;
        return stopped_ = stopped_ || !function_(&last_, user_data_);
    }
    [[noreturn]] void fail_stopped() const {
        fail(LTX2_STATUS_CANCELLED, "%s: cancelled at %d of %d", last_.stage, last_.done,
             last_.total);
    }

private:
    ltx2_progress_fn function_ = nullptr;
    void * user_data_ = nullptr;
    mutable ltx2_progress last_ = {nullptr, 0, 0};
    mutable std::chrono::steady_clock::time_point reported_{};
    mutable bool stopped_ = false;
};

} // namespace ltx2
