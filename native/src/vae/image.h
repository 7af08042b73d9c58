// Pictures on their way to the VAE.
#pragma once

#include "base/error.h"

#include <cstdint>
#include <vector>

namespace ltx2 {

// `pixels` [height][width][3], RGB: scaled, keeping its shape, until it covers the target
// (bilinear, half-pixel centres, no smoothing), cut to its middle, and taken from bytes to [-1, 1]:
// [to_height][to_width][3]. Errors: INVALID_ARGUMENT where a side is not in 1..65535.
std::vector<float> cover(const uint8_t * pixels, int width, int height, int to_width,
                         int to_height);

} // namespace ltx2
