// F32 values -> a type that weights are stored as.
#pragma once

#include "ggml.h"

#include <cstdint>

namespace ltx2 {

// `count` finite values, whole blocks of the type, to the values that ggml makes of them.
void write_values(ggml_type type, const float * values, int64_t count, void * out);

// A row of values, whole groups, is rotated in place and becomes codes; returns their scale, which
// is not finite where a value, or its sum with others, is not: then there are no codes.
inline constexpr int64_t code_group = 256;
float write_codes(float * values, int64_t count, int8_t * out);

} // namespace ltx2
