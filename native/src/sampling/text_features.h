// What flows from the text to the DiT.
#pragma once

#include <cstdint>
#include <vector>

namespace ltx2 {

// What the DiT attends to: the prompt's rows and the registers that fill up the rest.
struct TextFeatures {
    int64_t rows = 0, width = 0;
    std::vector<float> values; // [rows][width]
};

} // namespace ltx2
