// F32 values -> a type that weights are stored as.
#pragma once

#include "ggml.h"

#include <cstdint>

namespace ltx2 {

// `count` finite values, whole blocks of the type, to the values that ggml makes of them.
void write_values(ggml_type type, const float * values, int64_t count, void * out);

} // namespace ltx2
