// How fast this machine does each kind of work, by a measurement of some tenths of a second each.
#pragma once

#include "base/progress.h"
#include "graph/device.h"
#include "graph/tally.h"

namespace ltx2 {

using Speeds = std::map<std::string, double>; // by Work::name(): amounts per second

// Adds to `speeds` what of `kinds` is not in it. False: other programs had the processor meanwhile,
// so that it seemed slower than it is. Errors: OUT_OF_MEMORY, DEVICE, CANCELLED.
bool calibrate(Device & device, const std::map<Work, double> & kinds, Speeds & speeds,
               const Progress & progress);

} // namespace ltx2
