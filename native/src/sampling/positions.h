// Where tokens lie in time and space, as the DiT's rotary angles see them.
#pragma once

#include "sampling/latents.h"

namespace ltx2 {

// The middle of a token's interval: seconds, row and column in pixels. F32, in the reference's
// order of operations, since angles reach 16,000 radians.
struct Position {
    float time, row, column;
};

// Of a video, or of a reference, whose pixels and frames each stand for so many of the video's.
std::vector<Position> video_positions(const Grid & grid, const Scale & scale, float fps,
                                      int downscale = 1, int temporal = 1);
// An image at a pixel frame spans that one frame (official code from 1.2.0 on).
std::vector<Position> keyframe_positions(const Grid & grid, const Scale & scale, float fps,
                                         int frame);

// So many frames between the first of a video and its last, evenly spread, as the reference rounds.
std::vector<int> spread_frames(int count, int frames);

// Of the sound's latents, which last 40 ms each, the first 10: their time alone.
std::vector<Position> sound_positions(int64_t tokens);
float sound_begins(int64_t token); // second of the sound; it ends where the next one begins

} // namespace ltx2
