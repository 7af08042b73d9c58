// Samples -> spectrogram: magnitudes of windows of samples, in bands of the mel scale, as
// logarithms.
#pragma once

#include "audio/sound.h"
#include "graph/graph.h"

#include <functional>

namespace ltx2 {

// What each window is multiplied with.
struct MelBasis {
    Matrix waves;   // [window, 2 * frequencies]: the real parts, then the imaginary ones
    Matrix filters; // [frequencies, bands]
};

// Where the windows lie.
struct MelWindows {
    int64_t window, hop; // samples
    int64_t before;      // of the first one that lie before the first sample
    int64_t frames;
    bool reflects; // outside, samples are mirrored; else there are zeros
};

// Of samples [positions][2]. `basis` gives what is the part's, or an input of the graph. Errors:
// OUT_OF_MEMORY, CANCELLED.
Spectrogram spectrogram(Device & device, const std::vector<float> & samples,
                        const MelWindows & windows,
                        const std::function<MelBasis(Graph & g)> & basis,
                        const Progress & progress);

// Any number of channels, [positions][channels], as two: one is both, of more the first two are
// taken. INVALID_ARGUMENT where there is none of either, or the rate is no rate.
Sound as_stereo(const float * samples, int64_t positions, int channels, int rate);

// What the audio VAE's encoder takes, of a sound of any rate: 100 frames a second. Errors as above.
Spectrogram encoder_spectrogram(const Sound & sound, Device & device, const Progress & progress);

} // namespace ltx2
