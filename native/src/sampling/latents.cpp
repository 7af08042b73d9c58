#include "sampling/latents.h"

namespace ltx2 {

// [rows][columns] -> [columns][rows]
static std::vector<float> transpose(const float * values, int64_t rows, int64_t columns) {
    std::vector<float> out(static_cast<size_t>(rows * columns));
    for (int64_t r = 0; r < rows; ++r)
        for (int64_t c = 0; c < columns; ++c)
            out[static_cast<size_t>(c * rows + r)] = values[r * columns + c];
    return out;
}

std::vector<float> from_planes(const float * planes, int64_t cells, int channels) {
    return transpose(planes, channels, cells);
}

std::vector<float> to_planes(const float * values, int64_t cells, int channels) {
    return transpose(values, cells, channels);
}

} // namespace ltx2
