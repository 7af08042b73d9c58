// What flows from the text to the DiT.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace ltx2 {

// What the DiT attends to: the prompt's rows and the registers that fill up the rest. With sound, a
// row is the video's, then the sound's.
struct TextFeatures {
    int64_t rows = 0, width = 0;
    std::vector<float> values; // [rows][width]

    // The columns from `first` on.
    TextFeatures columns(int64_t first, int64_t count) const {
        TextFeatures some{rows, count, {}};
        some.values.reserve(static_cast<size_t>(rows * count));
        for (int64_t row = 0; row < rows; ++row)
            some.values.insert(some.values.end(), values.begin() + row * width + first,
                               values.begin() + row * width + first + count);
        return some;
    }
    // The columns of both, where they have as many rows.
    static TextFeatures side_by_side(const TextFeatures & a, const TextFeatures & b) {
        TextFeatures both{a.rows, a.width + b.width, {}};
        both.values.reserve(a.values.size() + b.values.size());
        for (int64_t row = 0; row < a.rows; ++row)
            for (const TextFeatures * part : {&a, &b})
                both.values.insert(both.values.end(), part->values.begin() + row * part->width,
                                   part->values.begin() + (row + 1) * part->width);
        return both;
    }
};

} // namespace ltx2
