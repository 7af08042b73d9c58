// What this library can do, so that a caller need not know it.
#pragma once

#include "files/json.h"

namespace ltx2 {

// {"version", "defaults", "schedules": [NAME, ...], "stages": [NAME, ...] of progress,
//  "parts": [{"id", "title", "need"}, ...], "types": [NAME, ...] and "variants": [NAME, ...] of a
//  conversion, "instruction_sets": [NAME, ...] that the processor runs, the best last}
Json capabilities();

// ltx2_try_devices' list, after a trial of each.
Json try_devices();

} // namespace ltx2
