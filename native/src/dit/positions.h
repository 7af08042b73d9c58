// Where tokens lie in time and space, as the DiT's rotary angles see them.
#pragma once

#include "sampling/geometry.h"

namespace ltx2 {

// The middle of each token's interval: seconds, row and column in pixels. F32, in the reference's
// order of operations, since angles reach 16,000 radians.
struct Position {
    float time, row, column;
};
std::vector<Position> video_positions(const Geometry & geometry);
// An image at a pixel frame spans that one frame (official code from 1.2.0 on).
std::vector<Position> keyframe_positions(const Geometry & geometry, int frame);

} // namespace ltx2
