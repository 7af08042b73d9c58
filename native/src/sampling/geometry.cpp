#include "sampling/geometry.h"

#include <algorithm>
#include <cmath>

namespace ltx2 {

static void check_multiple(const char * name, int value) {
    // The positions' range is 2048 pixels; the bound only keeps sizes far from overflow.
    const int largest = 8192;
    if (value >= pixel_scale && value <= largest && value % pixel_scale == 0)
        return;
    const int below = std::min(std::max(value / pixel_scale * pixel_scale, pixel_scale), largest);
    const int above = std::min(below + pixel_scale, largest);
    fail(LTX2_STATUS_INVALID_ARGUMENT,
         "%s: %d is not a multiple of 32 in 32..%d; nearest are %d "
         "and %d",
         name, value, largest, below, above);
}

Geometry::Geometry(int width, int height, int frames, float fps, int channels)
    : width(width), height(height), frames(frames), fps(fps), channels(channels) {
    check_multiple("width", width);
    check_multiple("height", height);
    const int most = 8 * 512 + 1;
    if (frames < 1 || frames > most || (frames - 1) % frame_scale) {
        const int below = std::min(std::max((frames - 1) / frame_scale * frame_scale + 1, 1), most);
        fail(LTX2_STATUS_INVALID_ARGUMENT, "frames: %d is not 8k+1; nearest are %d and %d", frames,
             below, std::min(below + frame_scale, most));
    }
    if (!(fps >= 1 && fps <= 240))
        fail(LTX2_STATUS_INVALID_ARGUMENT, "fps: %g is not in 1..240", fps);
}

// [rows][columns] -> [columns][rows]
static std::vector<float> transpose(const float * values, int64_t rows, int64_t columns) {
    std::vector<float> out(static_cast<size_t>(rows * columns));
    for (int64_t r = 0; r < rows; ++r)
        for (int64_t c = 0; c < columns; ++c)
            out[static_cast<size_t>(c * rows + r)] = values[r * columns + c];
    return out;
}

std::vector<float> to_tokens(const float * latents, int64_t tokens, int channels) {
    return transpose(latents, channels, tokens);
}

std::vector<float> from_tokens(const float * values, int64_t count, int channels) {
    return transpose(values, count, channels);
}

} // namespace ltx2
