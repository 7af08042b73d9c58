// What flows between the components of sound: samples, and their spectrogram.
#pragma once

#include <cstdint>
#include <vector>

namespace ltx2 {

// Two channels.
struct Sound {
    int rate = 0;               // samples of each in a second
    std::vector<float> samples; // [positions][2], in [-1, 1]

    int64_t positions() const { return static_cast<int64_t>(samples.size() / 2); }
};

// Natural logarithms of the magnitudes of a sound of two channels, in bands of the mel scale.
struct Spectrogram {
    static constexpr int64_t bands = 64, width = 2 * bands;
    std::vector<float> values; // [frames][2][bands]

    int64_t frames() const { return static_cast<int64_t>(values.size()) / width; }
};

} // namespace ltx2
