#include "audio/audio_vae.h"
#include "audio/vocoder.h"
#include "bench.h"

namespace ltx2 {

Run sound_run(Device & device, const Model & model, int latents) {
    auto decoder = std::make_shared<AudioDecoder>(model, device);
    auto vocoder = std::make_shared<Vocoder>(model, device);
    decoder->load(quiet);
    vocoder->load(quiet);
    Latents values{{latents, 1, 1}, static_cast<int>(decoder->channels()), {}};
    values.values = random_values(values.size());
    return [=] {
        Clock clock;
        const Spectrogram spectrogram = decoder->decode(values, quiet);
        const double first = clock.lap();
        vocoder->sound(spectrogram, quiet);
        return std::vector<double>{first, clock.lap()};
    };
}

} // namespace ltx2
