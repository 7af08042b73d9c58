// What a request will take, said before a weight is read.
#pragma once

#include "graph/calibrate.h"
#include "request.h"

namespace ltx2 {

// Bytes of the program's own that a run needs, with what is not counted: its threads' stacks, and
// what allocators keep. Measured: up to 26 MiB with two threads.
inline size_t needs(const Tally & tally) { return tally.own() + (size_t{64} << 20); }

struct Plan {
    Tally tally;
    Speeds speeds;
    bool busy = false;    // other programs had the processor while the speeds were measured
    size_t available = 0; // bytes that this process may have; 0: unknown

    double seconds(const Tally::Stage & stage) const;
    bool fits() const { return !available || needs(tally) <= available; }
};

// As ltx2_session_plan gives it. `nearest` is the largest size of the same shape that fits, where
// the request does not.
Json plan_json(const Plan & plan, const Request & want, const VideoSize * nearest);
// The speeds of an earlier plan. INVALID_ARGUMENT.
Speeds speeds_of(const std::string & text);

} // namespace ltx2
