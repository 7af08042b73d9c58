#include "sampling/canvas.h"

#include <algorithm>
#include <cmath>

namespace ltx2 {

std::vector<int> Canvas::borders() const {
    std::vector<int> frames_at;
    for (int i = 1; i <= segments(); ++i)
        frames_at.push_back(i * segment);
    return frames_at;
}

Canvas canvas_for(int frames, const Scale & scale) {
    Canvas best;
    for (const int latents : {4, 3}) {
        const int segment = latents * scale.time;
        const int whole = (frames - 1 + segment - 1) / segment * segment + 1;
        if (!best.frames || whole < best.frames)
            best = {whole, segment};
    }
    return best;
}

std::vector<Tile> tiles_of(const Canvas & canvas, int count, const Scale & scale) {
    const int segments = canvas.segments(), latents = canvas.segment / scale.time;
    const int tiles = std::min(count, segments);
    std::vector<Tile> all;
    for (int i = 0, begin = 0; i < tiles; ++i) {
        const int end = begin + segments / tiles + (i < segments % tiles ? 1 : 0);
        const int before = begin ? begin - 1 : 0; // segments
        Tile tile{before * latents, end * latents + 1, begin ? latents + 1 : 0, {}, {}};
        for (int border = std::max(before, 1); border <= end; ++border)
            tile.anchors.push_back(border * canvas.segment);
        for (int segment = 0; segment < end - before; ++segment)
            tile.slots.push_back(segment * canvas.segment + canvas.segment / 2);
        all.push_back(tile);
        begin = end;
    }
    return all;
}

// In the reference's F32.
std::vector<float> stretched(const std::vector<float> & tokens, int channels, double start,
                             double span, int64_t count) {
    const int64_t last = static_cast<int64_t>(tokens.size()) / channels - 1;
    const float first = static_cast<float>(start);
    const float step = static_cast<float>(span / static_cast<double>(count));
    std::vector<float> out;
    for (int64_t i = 0; i < count; ++i) {
        const float at =
            std::clamp(step * static_cast<float>(i) + first, 0.0f, static_cast<float>(last));
        const int64_t low = static_cast<int64_t>(at), high = std::min(low + 1, last);
        const float share = at - static_cast<float>(low);
        for (int c = 0; c < channels; ++c)
            out.push_back(tokens[low * channels + c] * (1 - share) +
                          tokens[high * channels + c] * share);
    }
    return out;
}

} // namespace ltx2
