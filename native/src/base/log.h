// Levelled messages to the caller's function; without one, nothing is printed. ggml's own messages
// take the same way.
#pragma once

#include "ltx2.h"

namespace ltx2 {

enum class Level { debug = 10, info = 20, warning = 30, error = 40 };

void log_set(ltx2_log_fn function, void * user_data);
void log(Level level, const char * format, ...) __attribute__((format(printf, 2, 3)));

} // namespace ltx2
