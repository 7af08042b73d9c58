// Spectrogram -> samples: convolutions that raise the rate step by step, each followed by the mean
// of several residual blocks. HiFi-GAN, and BigVGAN with its anti-aliased SnakeBeta, are rows of
// one table. Everything is F32, whatever type the weights have, and runs on the processor.
#pragma once

#include "audio/sound.h"
#include "graph/layers.h"

#include <optional>
#include <vector>

namespace ltx2 {

struct GeneratorConfig {
    enum class End { none, clamp, tanh };

    bool snake;                      // else leaky ReLU
    int channels;                    // before the first stage; each halves them
    std::vector<int> rates, kernels; // of the stages
    std::vector<int> block_kernels;  // of a stage's blocks
    std::vector<std::vector<int>> dilations;
    bool bias; // of the last convolution
    End end;

    GeneratorConfig(const Config & config, bool ends); // MODEL
    int rate() const;                                  // samples a frame
};

// An activation that makes no frequencies its rate has no room for.
struct SnakeBeta {
    SnakeCall call; // without its input

    SnakeBeta(const Weights & w, int64_t channels);
    Tensor operator()(Graph & g, Tensor x) const;
};

// For each dilation x + convs2(act(convs1(act(x)))).
struct GeneratorBlock {
    std::vector<Conv1dCall> convs1, convs2;
    std::vector<SnakeBeta> acts1, acts2; // or none: leaky ReLU

    GeneratorBlock(const Weights & w, int64_t channels, int kernel,
                   const std::vector<int> & dilations, bool snake);
    // `origin`: where x begins in the whole sound.
    Tensor operator()(Graph & g, Tensor x, int64_t origin) const;
};

struct GeneratorStage {
    Conv1dCall up;
    std::vector<GeneratorBlock> blocks; // whose mean it gives

    Tensor operator()(Graph & g, Tensor x, int64_t origin) const;
};

// Reports steps, of several generators together.
struct SoundSteps {
    const Progress & progress;
    int done, total;

    void begin() const { progress("sound", done, total); }
    void next() { progress("sound", ++done, total); }
};

class Generator {
public:
    Generator(const Weights & w, const GeneratorConfig & config);

    const GeneratorConfig & config() const { return config_; }
    // Steps that it reports for so many frames.
    int steps(int64_t frames) const;
    // [frames * rate][2]. Errors: OUT_OF_MEMORY, CANCELLED.
    std::vector<float> samples(Device & device, const Spectrogram & spectrogram,
                               SoundSteps & steps) const;

    int64_t window = 1024; // frames at once: some 150 MB

private:
    int64_t reach() const; // frames around those of a window that its samples depend on
    std::vector<float> in_one_piece(Device & device, const float * frames, int64_t origin,
                                    int64_t count, SoundSteps & steps) const;

    GeneratorConfig config_;
    Conv1dCall conv_pre_, conv_post_;
    std::vector<GeneratorStage> stages_;
    std::optional<SnakeBeta> act_post_;
};

} // namespace ltx2
