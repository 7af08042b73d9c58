#include "graph/rotary.h"

#include "base/error.h"

#include <cmath>

namespace ltx2 {

static std::vector<float> frequencies(int count, double theta, bool float64_grid) {
    const double half_pi = 1.5707963267948966;
    std::vector<float> out;
    for (int k = 0; k < count; ++k) {
        const double exponent = count > 1 ? double(k) / (count - 1) : 0.0;
        if (float64_grid)
            out.push_back(static_cast<float>(std::pow(theta, exponent) * half_pi));
        else
            out.push_back(std::pow(static_cast<float>(theta), static_cast<float>(exponent)) *
                          3.14159265f / 2);
    }
    return out;
}

RotaryTable rotary_table(const std::vector<float> & positions, int axes,
                         const std::vector<double> & max_pos, double theta, int width, int heads,
                         bool float64_grid) {
    const int half = width / 2, count = width / (2 * axes), padding = half - count * axes;
    if (axes < 1 || max_pos.size() != static_cast<size_t>(axes) || count < 1 || heads < 1 ||
        half % heads || !(theta > 0))
        fail(LTX2_STATUS_MODEL, "rotary: a width of %d in %d heads has no angles on %d axes", width,
             heads, axes);
    const std::vector<float> grid = frequencies(count, theta, float64_grid);
    const size_t tokens = positions.size() / static_cast<size_t>(axes);
    RotaryTable table;
    table.cos.reserve(tokens * static_cast<size_t>(half));
    table.sin.reserve(tokens * static_cast<size_t>(half));
    for (size_t t = 0; t < tokens; ++t) {
        table.cos.insert(table.cos.end(), static_cast<size_t>(padding), 1.0f);
        table.sin.insert(table.sin.end(), static_cast<size_t>(padding), 0.0f);
        for (float frequency : grid)
            for (int axis = 0; axis < axes; ++axis) {
                const float fraction = positions[t * static_cast<size_t>(axes) + axis] /
                                       static_cast<float>(max_pos[axis]);
                const float angle = frequency * (fraction * 2 - 1);
                // In double, so that the reduction of large angles costs nothing.
                table.cos.push_back(static_cast<float>(std::cos(double{angle})));
                table.sin.push_back(static_cast<float>(std::sin(double{angle})));
            }
    }
    return table;
}

bool has_float64_grid(const Config & transformer) {
    transformer.require("rope_type", "split", "interleaved");
    return transformer.text("frequencies_precision", "") == "float64";
}

} // namespace ltx2
