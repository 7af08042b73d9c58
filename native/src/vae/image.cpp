#include "vae/image.h"

#include <algorithm>
#include <cmath>

namespace ltx2 {

namespace {
// The two source positions of a target position, and the weight of the second.
struct Sample {
    int low, high;
    float weight;
};
} // namespace

// Positions `first`.. of an axis of `from` scaled to `to`, in the reference's float arithmetic: its
// compiler fuses the multiply-add, which moves a pixel's share by up to 1e-5.
static std::vector<Sample> samples(int from, int64_t to, int64_t first, int count) {
    const float scale = static_cast<float>(from) / static_cast<float>(to);
    std::vector<Sample> all;
    for (int64_t i = first; i < first + count; ++i) {
        const float at = std::max(0.0f, std::fma(scale, static_cast<float>(i) + 0.5f, -0.5f));
        const int low = std::min(static_cast<int>(at), from - 1);
        all.push_back({low, std::min(low + 1, from - 1),
                       std::min(std::max(at - static_cast<float>(low), 0.0f), 1.0f)});
    }
    return all;
}

std::vector<float> cover(const uint8_t * pixels, int width, int height, int to_width,
                         int to_height) {
    for (int side : {width, height, to_width, to_height})
        if (side < 1 || side > 65535)
            fail(LTX2_STATUS_INVALID_ARGUMENT,
                 "image: %d x %d to %d x %d: a side is not in 1..65535", width, height, to_width,
                 to_height);
    const double scale = std::max(double(to_height) / height, double(to_width) / width);
    const int64_t scaled_height = static_cast<int64_t>(std::ceil(height * scale));
    const int64_t scaled_width = static_cast<int64_t>(std::ceil(width * scale));
    const auto rows = samples(height, scaled_height, (scaled_height - to_height) / 2, to_height);
    const auto columns = samples(width, scaled_width, (scaled_width - to_width) / 2, to_width);

    std::vector<float> out(static_cast<size_t>(to_height) * static_cast<size_t>(to_width) * 3);
    float * to = out.data();
    for (const Sample & y : rows) {
        const uint8_t * upper = pixels + static_cast<size_t>(y.low) * width * 3;
        const uint8_t * lower = pixels + static_cast<size_t>(y.high) * width * 3;
        for (const Sample & x : columns)
            for (int i = 0; i < 3; ++i) {
                const auto across = [&](const uint8_t * row) {
                    return (1.0f - x.weight) * row[x.low * 3 + i] + x.weight * row[x.high * 3 + i];
                };
                const float value = (1.0f - y.weight) * across(upper) + y.weight * across(lower);
                *to++ = value / 127.5f - 1.0f;
            }
    }
    return out;
}

} // namespace ltx2
