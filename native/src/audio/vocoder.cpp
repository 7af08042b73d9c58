#include "audio/vocoder.h"

#include "audio/resample.h"
#include "base/round.h"

#include <algorithm>

namespace ltx2 {

Vocoder::Extension::Extension(const Weights & w, const Config & config, int from)
    : rate(config.integer("output_sampling_rate", 48000, 1, most_rate)),
      window(config.integer("n_fft", 512, 2, 1 << 14)),
      hop(config.integer("hop_length", 80, 1, 1 << 14)),
      forward_basis((w / "mel_stft.stft_fn")("forward_basis", {window, 1, window + 2}, As::f32)),
      mel_basis((w / "mel_stft")("mel_basis", {window / 2 + 1, Spectrogram::bands}, As::f32)),
      generator(w / "bwe_generator", GeneratorConfig(config, /*ends=*/false)) {
    config.integer("num_mels", Spectrogram::bands, Spectrogram::bands, Spectrogram::bands);
    if (hop > window)
        config.refuse("hop_length", "is longer than n_fft");
    if (rate % from || generator.config().rate() != hop * (rate / from))
        config.refuse("upsample_rates",
                      words("%d samples for %lld at %d Hz do not make %d Hz",
                            generator.config().rate(), static_cast<long long>(hop), from, rate));
}

MelBasis Vocoder::Extension::basis(Graph & g) const {
    return {ggml_reshape_2d(g.ctx(), forward_basis, window, window + 2), mel_basis};
}

Vocoder::Vocoder(const Model & model, Device & cpu) : device_(cpu), store_(cpu) {
    const Part & found = model.need(part);
    const Weights w(store_, found, part);
    const Config config = found.group(part);
    if (w.find("bwe_generator.conv_pre.weight")) {
        const Config bwe = config.at("bwe");
        rate_ = bwe.integer("input_sampling_rate", 16000, 1, most_rate);
        generator_.emplace(w / "vocoder", GeneratorConfig(config.at("vocoder"), /*ends=*/true));
        extension_.emplace(w, bwe, rate_);
        return;
    }
    // A file that states nothing has the older one, whatever LTX-2.3 has.
    const Config plain = config.find("bwe") ? Config({}, config.what("")) : config;
    rate_ = plain.integer("output_sampling_rate", 24000, 1, most_rate);
    generator_.emplace(w, GeneratorConfig(plain, /*ends=*/true));
}

void Vocoder::load(const Progress & progress) { store_.load(progress); }

void Vocoder::set_window(int64_t frames) {
    generator_->window = frames;
    if (extension_)
        extension_->generator.window = frames;
}

Sound Vocoder::extended(Sound sound, SoundSteps & steps) const {
    const Extension & e = *extension_;
    const int64_t positions = sound.positions(), frames = divide_up(positions, e.hop);
    sound.samples.resize(static_cast<size_t>(2 * frames * e.hop), 0.0f);
    const Spectrogram seen = spectrogram(
        device_, sound.samples, {e.window, e.hop, e.window - e.hop, frames, /*reflects=*/false},
        [&](Graph & g) { return e.basis(g); }, steps.progress);
    Sound out{e.rate, e.generator.samples(device_, seen, steps)};
    const std::vector<float> low = resample(sound.samples, sound.rate, e.rate, Outside::copies);
    for (size_t i = 0; i < low.size(); ++i)
        out.samples[i] = std::clamp(out.samples[i] + low[i], -1.0f, 1.0f);
    out.samples.resize(static_cast<size_t>(2 * positions * (e.rate / sound.rate)));
    return out;
}

Sound Vocoder::sound(const Spectrogram & spectrogram, const Progress & progress) const {
    const int64_t frames = spectrogram.frames();
    if (frames < 1)
        fail(LTX2_STATUS_INVALID_ARGUMENT, "sound: has no frames");
    SoundSteps steps{progress, 0, generator_->steps(frames)};
    if (extension_)
        steps.total += extension_->generator.steps(
            divide_up(frames * generator_->config().rate(), extension_->hop));
    steps.begin();
    Sound sound{rate_, generator_->samples(device_, spectrogram, steps)};
    if (extension_)
        sound = extended(std::move(sound), steps);
    device_.trim();
    return sound;
}

} // namespace ltx2
