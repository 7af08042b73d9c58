#include "dit/positions.h"

#include <algorithm>

namespace ltx2 {

static void add_cells(std::vector<Position> & out, const Geometry & g, float time) {
    for (int h = 0; h < g.latent_height(); ++h)
        for (int w = 0; w < g.latent_width(); ++w)
            out.push_back(
                {time, (32.0f * h + 32.0f * (h + 1)) / 2, (32.0f * w + 32.0f * (w + 1)) / 2});
}

std::vector<Position> video_positions(const Geometry & g) {
    std::vector<Position> out;
    out.reserve(static_cast<size_t>(g.tokens()));
    for (int f = 0; f < g.latent_frames(); ++f) {
        // The first latent frame holds one pixel frame, so all are shifted by 1 - 8.
        const float start = static_cast<float>(std::max(0, frame_scale * f + 1 - frame_scale));
        const float end = static_cast<float>(std::max(0, frame_scale * (f + 1) + 1 - frame_scale));
        add_cells(out, g, (start / g.fps + end / g.fps) / 2);
    }
    return out;
}

std::vector<Position> keyframe_positions(const Geometry & g, int frame) {
    std::vector<Position> out;
    const float start = static_cast<float>(frame), end = static_cast<float>(frame + 1);
    add_cells(out, g, (start / g.fps + end / g.fps) / 2);
    return out;
}

} // namespace ltx2
