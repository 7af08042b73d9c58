// What flows from the text encoder through the connector to the DiT.
#pragma once

#include <cstdint>
#include <vector>

namespace ltx2 {

// After the embedding and after every layer of the text encoder.
struct HiddenStates {
    int states = 0; // layers + 1
    int64_t tokens = 0, width = 0;
    std::vector<float> values; // [states][tokens][width]
};

// What the DiT attends to: the prompt's rows and the registers that fill up the rest.
struct TextFeatures {
    int64_t rows = 0, width = 0;
    std::vector<float> values; // [rows][width]
};

} // namespace ltx2
