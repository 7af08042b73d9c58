#include "sampling/positions.h"

#include <algorithm>
#include <cmath>

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
        const float time = static_cast<float>(frame) / rate;
        return temporal > 1 ? std::max(0.0f, time - later) : time;
    };
    std::vector<Position> out;
    out.reserve(static_cast<size_t>(grid.cells()));
    for (int f = 0; f < grid.frames; ++f)
        add_frame(out, grid, scale,
                  (seconds(scale.first_frame(f)) + seconds(scale.first_frame(f + 1))) / 2);
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

// torch.linspace, which counts from the nearer end, and torch.round.
std::vector<int> spread_frames(int count, int frames) {
    const float last = static_cast<float>(frames - 1), step = last / static_cast<float>(count + 1);
    std::vector<int> out;
    for (int i = 1; i <= count; ++i) {
        const float at = i < (count + 2) / 2
                             ? step * static_cast<float>(i)
                             : std::fma(-step, static_cast<float>(count + 1 - i), last);
        out.push_back(static_cast<int>(std::nearbyint(at)));
    }
    return out;
}

// By frames of the spectrogram, 4 of which are a latent, and their hop of samples.
float sound_begins(int64_t token) {
    return static_cast<float>(std::max<int64_t>(0, 4 * token - 3)) * 160 / 16000;
}

std::vector<Position> sound_positions(int64_t tokens) {
    std::vector<Position> out;
    for (int64_t i = 0; i < tokens; ++i)
        out.push_back({(sound_begins(i) + sound_begins(i + 1)) / 2, 0, 0});
    return out;
}

} // namespace ltx2
