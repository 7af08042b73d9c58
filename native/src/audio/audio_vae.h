// The audio VAE: latents -> spectrogram, and back. Its convolutions see no frame that comes later,
// so a long sound passes in windows, each after some latents of the one before, with the bits that
// it has in one piece.
#pragma once

#include "audio/sound.h"
#include "graph/layers.h"
#include "sampling/latents.h"

#include <optional>
#include <vector>

namespace ltx2 {

// conv2(silu(norm(conv1(silu(norm(x)))))) + x, or + nin_shortcut(x) where widths differ.
struct AudioResBlock {
    Conv3dCall conv1, conv2;
    std::optional<Conv3dCall> nin_shortcut;

    AudioResBlock(const Weights & w, int64_t in, int64_t out);
    Tensor operator()(Graph & g, Tensor x) const;
};

// The blocks of one size, and the convolution that halves or doubles it afterwards.
struct AudioLevel {
    std::vector<AudioResBlock> block;
    std::optional<Conv3dCall> sample;
};

struct AudioVaeConfig {
    int64_t latent_channels;
    int res_blocks;              // of a level of the encoder; the decoder has one more
    std::vector<int64_t> widths; // of the levels, the largest frames first

    explicit AudioVaeConfig(const Part & part);           // MODEL
    int time() const { return 1 << (widths.size() - 1); } // frames of a latent
    int64_t bins() const { return Spectrogram::bands / time(); }
    int64_t token() const { return latent_channels * bins(); } // values of a latent
};

// What decoder and encoder share.
class AudioVae {
public:
    static constexpr const char * part = "audio_vae";

    void load(const Progress & progress) { store_.load(progress); } // OUT_OF_MEMORY, CANCELLED
    uint64_t weights() const { return store_.size(); }
    int64_t channels() const { return config_.token(); } // of the latents
    const AudioVaeConfig & config() const { return config_; }

    int64_t window = 256; // latents at once: ten seconds, some 300 MB

protected:
    AudioVae(const Model & model, Device & device, const char * half);

    Device & device_;
    Store store_;
    AudioVaeConfig config_;
    Tensor mean_, deviation_; // [token]
    std::vector<AudioResBlock> mid_;
    std::vector<AudioLevel> levels_; // the largest frames first
};

// Of `frames` latents of `channels`, channel * bins + bin, as the DiT has them.
class AudioDecoder : public AudioVae {
public:
    // Reads no weights. MODEL.
    AudioDecoder(const Model & model, Device & device);
    // 4 frames a latent, of the first one 1. Errors: OUT_OF_MEMORY, CANCELLED.
    Spectrogram decode(const Latents & latents, const Progress & progress) const;

private:
    int64_t reach() const; // latents before the first of a window that its frames depend on
    Tensor frames(Graph & g, Tensor latents) const;

    Conv3dCall conv_in_, conv_out_;
};

class AudioEncoder : public AudioVae {
public:
    AudioEncoder(const Model & model, Device & device);
    // A latent for every 4 frames or part of them. Errors: OUT_OF_MEMORY, CANCELLED.
    Latents encode(const Spectrogram & spectrogram, const Progress & progress) const;

private:
    int64_t reach() const;
    Tensor latents(Graph & g, Tensor frames) const;

    Conv3dCall conv_in_, conv_out_;
};

} // namespace ltx2
