// The rotary tables of LTX-2.x, split form: every head has angles of its own, so they are tables,
// not a ggml operation. Shared by the connector (one axis) and the DiT (time, row, column).
#pragma once

#include "files/config.h"

#include <cstdint>
#include <vector>

namespace ltx2 {

struct RotaryTable {
    std::vector<float> cos, sin; // [tokens][heads][head_dim / 2]
};

// `positions` [tokens][axes]. Frequency k of n = width / (2 axes) is theta^(k / (n-1)) pi/2, its
// angle at fraction f = position / max_pos is frequency * (2f - 1), axes fastest; what is left of
// width / 2 is padded at the front with cos 1, sin 0. `float64_grid`: frequencies are computed in
// double and then rounded, as the checkpoints state. Angles reach 15,708 radians, where an F32 ulp
// is 1e-3: the F32 products follow the reference's order.
RotaryTable rotary_table(const std::vector<float> & positions, int axes,
                         const std::vector<double> & max_pos, double theta, int width, int heads,
                         bool float64_grid);

// What a checkpoint's config says of it. MODEL where the form is not the split one.
bool has_float64_grid(const Config & transformer);

} // namespace ltx2
