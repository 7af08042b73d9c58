// How the recipe "dfr" cuts a video: into segments, at whose borders single frames are made beside
// it, and, when its frames are doubled, into tiles that begin and end at such frames.
#pragma once

#include "sampling/latents.h"

#include <vector>

namespace ltx2 {

struct Canvas {
    int frames = 0, segment = 0; // of the video; frames: whole segments and one

    int segments() const { return (frames - 1) / segment; }
    std::vector<int> borders() const; // the last frame of each segment
};

// For a video of so many: with segments of three or four frames of its latents, whichever adds
// less to it, of four where both add the same.
Canvas canvas_for(int frames, const Scale & scale);

// A part of a canvas that is made by itself.
struct Tile {
    int first = 0, end = 0;   // of the canvas's latents
    int lead = 0;             // so many of its first ones are those of the tile before, not its own
    std::vector<int> anchors; // frames of the canvas that are there already
    std::vector<int> slots;   // frames of the tile that are made beside it
};

// Of whole segments, the first ones of more; no more tiles than segments. All but the first begin a
// segment earlier.
std::vector<Tile> tiles_of(const Canvas & canvas, int count, const Scale & scale);

// Of tokens with so many channels, one after the other in time: `count` from `start` on, evenly
// spread over `span`, in between by both neighbours.
std::vector<float> stretched(const std::vector<float> & tokens, int channels, double start,
                             double span, int64_t count);

} // namespace ltx2
