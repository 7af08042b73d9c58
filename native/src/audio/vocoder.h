// The vocoder: spectrogram -> samples at 16 kHz, whose band a second generator extends to 48 kHz;
// or, where the file has one generator, its samples at 24 kHz.
#pragma once

#include "audio/generator.h"
#include "audio/mel.h"

namespace ltx2 {

class Vocoder {
public:
    static constexpr const char * part = "vocoder";

    // Of the processor: sound is computed there. Reads no weights. MODEL.
    Vocoder(const Model & model, Device & cpu);

    void load(const Progress & progress); // OUT_OF_MEMORY, CANCELLED
    uint64_t weights() const { return store_.size(); }
    int rate() const { return extension_ ? extension_->rate : rate_; } // samples a second
    // Errors: OUT_OF_MEMORY, CANCELLED.
    Sound sound(const Spectrogram & spectrogram, const Progress & progress) const;
    // Frames of each generator at once, for tests.
    void set_window(int64_t frames);

private:
    // From the samples of the first generator, its spectrogram with waves of the part's own; what
    // the second one makes of it is added to the samples at the higher rate.
    struct Extension {
        int rate;
        int64_t window, hop; // samples
        Tensor forward_basis, mel_basis;
        Generator generator;

        Extension(const Weights & w, const Config & config, int from);
        MelBasis basis(Graph & g) const;
    };
    Sound extended(Sound sound, SoundSteps & steps) const;

    Device & device_;
    Store store_;
    std::optional<Generator> generator_;
    std::optional<Extension> extension_;
    int rate_; // of the first generator
};

} // namespace ltx2
