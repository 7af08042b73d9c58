// What the files of ltx2_bench share.
#pragma once

#include "base/progress.h"
#include "graph/device.h"
#include "model/model.h"
#include "sampling/denoise.h"
#include "sampling/noise.h"

#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace ltx2 {

// Runs once and gives the seconds of its stages; none: it is one stage.
using Run = std::function<std::vector<double>()>;

inline Progress quiet; // which a profile watches
// What the last run made, where a part is compared with others: velocities, the text's last state,
// pixels of 0 to 255 as [frames, rows, columns, 3].
inline std::vector<float> made;

// About N(0,1), the same that bench_models.normal gives the other side: the sum of the four 16-bit
// numbers of SplitMix64.
inline std::vector<float> random_values(int64_t count) {
    std::vector<float> values(static_cast<size_t>(count));
    uint64_t state = 0;
    for (float & value : values) {
        uint64_t z = state += 0x9e3779b97f4a7c15;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        z ^= z >> 31;
        const uint64_t sum = (z >> 48) + (z >> 32 & 0xffff) + (z >> 16 & 0xffff) + (z & 0xffff);
        value = (float(sum) - 131070.0f) / 37837.0f;
    }
    return values;
}

inline std::vector<float> noise(int64_t first, int64_t count) {
    return normal_noise(1, 0, first, count);
}

// All of it to be made.
inline Stream noise_stream(int channels, const std::vector<Position> & positions) {
    Stream stream;
    stream.channels = channels;
    stream.positions = positions;
    stream.mask.assign(positions.size(), 1.0f);
    stream.latents = stream.clean = random_values(stream.tokens() * channels);
    return stream;
}

class Clock {
public:
    double lap() {
        const auto now = std::chrono::steady_clock::now();
        const double seconds = std::chrono::duration<double>(now - begin_).count();
        begin_ = now;
        return seconds;
    }

private:
    std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

// A video of 256 x 256 x 17, distilled, from ltx.gguf and gemma.gguf in a folder: Gemma on 128
// tokens, the connector, `steps` of the eight denoising steps, the decoder.
Run video_run(Device & device, const std::string & folder, int steps);

// Audio latents to samples; stages are the decoder and the vocoder.
Run sound_run(Device & device, const Model & model, int latents);

// The product of a matrix of 4096 x 1024 with `rows` rows of activations, in each of the types,
// which commas separate: seconds of the processor, which other work on the machine changes less.
Run types_run(int threads, const std::string & kinds, int rows);

// Giga-operations a second of independent multiply-adds in registers, on so many threads at once:
// F32, BF16 pairs and 8-bit quadruples into one sum; 0 where this processor has none. And gigabytes
// a second of memory that is read.
struct Peaks {
    double f32, bf16, int8, memory;
};
Peaks peaks(int threads);

} // namespace ltx2
