#include "audio/mel.h"

#include "audio/resample.h"
#include "graph/layers.h"

#include <algorithm>
#include <cmath>

namespace ltx2 {

// ---- windows of samples

// Frames that are computed at once; a frame of the encoder's takes 8 kB.
static constexpr int64_t most_frames = 1024;
static constexpr float least_magnitude = 1e-5f;

static int64_t reflected(int64_t i, int64_t positions) {
    const int64_t period = std::max<int64_t>(1, 2 * (positions - 1));
    i = std::abs(i) % period;
    return i < positions ? i : period - i;
}

// Of both channels of frames [first, first + count), one after the other.
static std::vector<float> windows_of(const std::vector<float> & samples, const MelWindows & w,
                                     int64_t first, int64_t count) {
    const int64_t positions = static_cast<int64_t>(samples.size() / 2);
    std::vector<float> out(static_cast<size_t>(2 * count * w.window), 0.0f);
    float * to = out.data();
    for (int64_t frame = first; frame < first + count; ++frame)
        for (int64_t channel = 0; channel < 2; ++channel)
            for (int64_t i = 0; i < w.window; ++i, ++to) {
                int64_t at = frame * w.hop - w.before + i;
                if (w.reflects)
                    at = reflected(at, positions);
                if (at >= 0 && at < positions)
                    *to = samples[static_cast<size_t>(2 * at + channel)];
            }
    return out;
}

// [window, rows] -> [bands, rows]
static Tensor log_mel(Graph & g, Tensor windows, const MelBasis & basis) {
    const Tensor parts = ggml_sqr(g.ctx(), Linear(basis.waves)(g, windows));
    const int64_t frequencies = basis.filters.k(), rows = windows->ne[1];
    const auto half = [&](int64_t first) {
        return ggml_view_2d(g.ctx(), parts, frequencies, rows, parts->nb[1],
                            static_cast<size_t>(first) * parts->nb[0]);
    };
    const Tensor magnitudes = ggml_sqrt(g.ctx(), add(g, half(0), half(frequencies)));
    const Tensor bands = Linear(basis.filters)(g, magnitudes);
    return ggml_log(g.ctx(), ggml_clamp(g.ctx(), bands, least_magnitude, INFINITY));
}

Spectrogram spectrogram(Device & device, const std::vector<float> & samples,
                        const MelWindows & windows,
                        const std::function<MelBasis(Graph & g)> & basis,
                        const Progress & progress) {
    Spectrogram out;
    out.values.resize(static_cast<size_t>(windows.frames * Spectrogram::width));
    for (int64_t first = 0; first < windows.frames; first += most_frames) {
        const int64_t count = std::min(most_frames, windows.frames - first);
        const std::vector<float> values = windows_of(samples, windows, first, count);
        Graph g(device, progress);
        const Tensor x = g.input(GGML_TYPE_F32, {windows.window, 2 * count, 1, 1}, values.data());
        g.output(log_mel(g, x, basis(g)), out.values.data() + first * Spectrogram::width);
        g.run();
    }
    return out;
}

// ---- the encoder's

namespace {
struct EncoderBasis {
    static constexpr int rate = 16000;
    static constexpr int64_t window = 1024, hop = 160, frequencies = window / 2 + 1;
    std::vector<float> waves = std::vector<float>(2 * frequencies * window);
    std::vector<float> filters = std::vector<float>(Spectrogram::bands * frequencies);

    EncoderBasis();
};
} // namespace

// Slaney's scale: linear below 1000 Hz, and then logarithmic.
static double mel_to_hertz(double mel) {
    return mel < 15 ? mel * 200 / 3 : 1000 * std::exp((mel - 15) * std::log(6.4) / 27);
}
static double hertz_to_mel(double hertz) {
    return hertz < 1000 ? hertz * 3 / 200 : 15 + 27 * std::log(hertz / 1000) / std::log(6.4);
}

EncoderBasis::EncoderBasis() {
    const double turn = 2 * std::acos(-1.0) / window;
    for (int64_t f = 0; f < frequencies; ++f)
        for (int64_t i = 0; i < window; ++i) {
            const double hann = 0.5 - 0.5 * std::cos(turn * static_cast<double>(i));
            const double angle = turn * static_cast<double>(f * i % window);
            const size_t at = static_cast<size_t>(f * window + i);
            waves[at] = static_cast<float>(hann * std::cos(angle));
            waves[at + frequencies * window] = static_cast<float>(hann * std::sin(angle));
        }
    // Triangles of one area, each from the middle of the band before to that of the band after.
    const double step = hertz_to_mel(rate / 2.0) / (Spectrogram::bands + 1);
    for (int64_t band = 0; band < Spectrogram::bands; ++band) {
        const double low = mel_to_hertz(step * static_cast<double>(band));
        const double middle = mel_to_hertz(step * static_cast<double>(band + 1));
        const double high = mel_to_hertz(step * static_cast<double>(band + 2));
        for (int64_t f = 0; f < frequencies; ++f) {
            const double hertz = rate / 2.0 * static_cast<double>(f) / (frequencies - 1);
            const double rising = (hertz - low) / (middle - low);
            const double height = std::min(rising, (high - hertz) / (high - middle));
            filters[static_cast<size_t>(band * frequencies + f)] =
                static_cast<float>(std::max(0.0, height) * 2 / (high - low));
        }
    }
}

Sound as_stereo(const float * samples, int64_t positions, int channels, int rate) {
    if (positions < 1 || channels < 1)
        fail(LTX2_STATUS_INVALID_ARGUMENT, "sound: has no samples");
    if (rate < 1 || rate > most_rate)
        fail(LTX2_STATUS_INVALID_ARGUMENT, "sound: a rate of %d is not in 1..%d", rate, most_rate);
    Sound sound{rate, {}};
    sound.samples.reserve(static_cast<size_t>(2 * positions));
    for (int64_t i = 0; i < positions; ++i, samples += channels) {
        sound.samples.push_back(samples[0]);
        sound.samples.push_back(samples[channels > 1 ? 1 : 0]);
    }
    return sound;
}

Spectrogram encoder_spectrogram(const Sound & sound, Device & device, const Progress & progress) {
    using E = EncoderBasis;
    const EncoderBasis basis;
    const std::vector<float> samples = resample(sound.samples, sound.rate, E::rate, Outside::zeros);
    const int64_t positions = static_cast<int64_t>(samples.size() / 2);
    return spectrogram(
        device, samples, {E::window, E::hop, E::window / 2, 1 + positions / E::hop, true},
        [&](Graph & g) {
            return MelBasis{
                g.input(GGML_TYPE_F32, {E::window, 2 * E::frequencies, 1, 1}, basis.waves.data()),
                g.input(GGML_TYPE_F32, {E::frequencies, Spectrogram::bands, 1, 1},
                        basis.filters.data())};
        },
        progress);
}

} // namespace ltx2
