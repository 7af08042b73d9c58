#include "sampling/positions.h"

#include <algorithm>

namespace ltx2 {

static void add_frame(std::vector<Position> & out, const Grid & grid, const Scale & scale,
                      float time) {
    const float side = static_cast<float>(scale.space);
    for (int h = 0; h < grid.height; ++h)
        for (int w = 0; w < grid.width; ++w)
            out.push_back({time, (side * h + side * (h + 1)) / 2, (side * w + side * (w + 1)) / 2});
}

std::vector<Position> video_positions(const Grid & grid, const Scale & scale, float fps,
                                      int downscale, int temporal) {
    const float rate = fps / static_cast<float>(temporal);
    const float later = static_cast<float>(temporal - 1) / fps;
    const auto seconds = [&](int frame) {
        const float time = static_cast<float>(std::max(0, frame)) / rate;
        return temporal > 1 ? std::max(0.0f, time - later) : time;
    };
    std::vector<Position> out;
    out.reserve(static_cast<size_t>(grid.cells()));
    for (int f = 0; f < grid.frames; ++f) {
        // The first latent frame holds one pixel frame, so all are shifted by 1 - scale.
        const int first = scale.time * f + 1 - scale.time;
        add_frame(out, grid, scale, (seconds(first) + seconds(first + scale.time)) / 2);
    }
    for (Position & position : out) {
        position.row *= static_cast<float>(downscale);
        position.column *= static_cast<float>(downscale);
    }
    return out;
}

std::vector<Position> keyframe_positions(const Grid & grid, const Scale & scale, float fps,
                                         int frame) {
    std::vector<Position> out;
    const float start = static_cast<float>(frame), end = static_cast<float>(frame + 1);
    add_frame(out, grid, scale, (start / fps + end / fps) / 2);
    return out;
}

std::vector<Position> sound_positions(int64_t tokens) {
    std::vector<Position> out;
    // Of a frame of the spectrogram, 4 of which are a latent, by its hop of samples.
    const auto seconds = [](int64_t frame) {
        return static_cast<float>(std::max<int64_t>(0, frame)) * 160 / 16000;
    };
    for (int64_t i = 0; i < tokens; ++i)
        out.push_back({(seconds(4 * i - 3) + seconds(4 * i + 1)) / 2, 0, 0});
    return out;
}

} // namespace ltx2
