#include "audio/generator.h"

#include "base/round.h"

#include <algorithm>
#include <numeric>

namespace ltx2 {

static constexpr int end_kernel = 7;                   // of the first and the last convolution
static constexpr float leak = 0.1f, last_leak = 0.01f; // of leaky ReLU
static constexpr int64_t snake_reach = 6;              // positions on each side
// Of a convolution, with what its tiles of Winograd's see beyond what counts: it moves a bit.
static int64_t conv_reach(int kernel, int dilation = 1) {
    return int64_t{kernel / 2 + 6} * dilation;
}

// ---- what a file states

static std::vector<int> integers(const Config & config, const char * key,
                                 const std::vector<double> & otherwise, int most) {
    std::vector<int> out;
    for (const double n : config.numbers(key, otherwise)) {
        if (!(n >= 1 && n <= most && n == static_cast<int>(n)))
            config.refuse(key, words("%g is not in 1..%d", n, most));
        out.push_back(static_cast<int>(n));
    }
    if (out.empty() || out.size() > 16)
        config.refuse(key, words("has %zu values, not 1..16", out.size()));
    return out;
}

static std::vector<std::vector<int>> dilations_of(const Config & config, size_t blocks) {
    constexpr const char * key = "resblock_dilation_sizes";
    if (!config.find(key))
        return {blocks, {1, 3, 5}};
    std::vector<std::vector<int>> out;
    for (const Json & row : config.array(key)) {
        out.emplace_back();
        for (const Json & value : row.array(config.what(key))) {
            const int64_t n = value.integer(config.what(key));
            if (n < 1 || n > 64 || out.back().size() == 16)
                config.refuse(key, "holds what is not 1..64, or too many of it");
            out.back().push_back(static_cast<int>(n));
        }
    }
    if (out.size() != blocks)
        config.refuse(key, words("has %zu rows, not %zu", out.size(), blocks));
    return out;
}

GeneratorConfig::GeneratorConfig(const Config & c, bool ends)
    : channels(c.integer("upsample_initial_channel", 1024, 1, 1 << 14)),
      rates(integers(c, "upsample_rates", {6, 5, 2, 2, 2}, 64)),
      kernels(integers(c, "upsample_kernel_sizes", {16, 15, 8, 4, 4}, 128)),
      block_kernels(integers(c, "resblock_kernel_sizes", {3, 7, 11}, 127)),
      dilations(dilations_of(c, block_kernels.size())), bias(c.flag("use_bias_at_final", true)) {
    const std::string block = c.text("resblock", "1");
    snake = block == "AMP1";
    if (!snake)
        c.require("resblock", "1", "1");
    else
        c.require("activation", "snakebeta", "snake");
    c.require_flag("stereo", true, true);
    end = !ends ? End::none : c.flag("use_tanh_at_final", true) ? End::tanh : End::clamp;
    if (kernels.size() != rates.size())
        c.refuse("upsample_kernel_sizes", "is not as long as upsample_rates");
    if (channels % (1 << rates.size()))
        c.refuse("upsample_initial_channel", "cannot be halved by each stage");
    for (size_t i = 0; i < rates.size(); ++i)
        if (kernels[i] < rates[i] || (kernels[i] - rates[i]) % 2)
            c.refuse("upsample_kernel_sizes",
                     words("%d does not fit a rate of %d", kernels[i], rates[i]));
    for (const int kernel : block_kernels)
        if (kernel % 2 == 0)
            c.refuse("resblock_kernel_sizes", words("%d is even", kernel));
    double all = 1;
    for (const int rate : rates)
        all *= rate;
    if (all > 4096)
        c.refuse("upsample_rates", words("%g samples a frame are over 4096", all));
}

int GeneratorConfig::rate() const {
    return std::accumulate(rates.begin(), rates.end(), 1, std::multiplies<>());
}

// ---- layers

// Weights stay as they lie in the file where the convolution reads their type.
static Conv1dCall conv1d(const Weights & w, int64_t in, int64_t out, int taps, int dilation = 1,
                         bool with_bias = true, int rate = 0) {
    const Source & source = w.source("weight");
    const ggml_type type = source.info->type;
    const bool is_read = !source.coding &&
                         (type == GGML_TYPE_F32 || type == GGML_TYPE_F16 || type == GGML_TYPE_BF16);
    const std::vector<int64_t> shape = {taps, rate ? out : in, rate ? in : out};
    Conv1dCall call;
    call.weight = w("weight", shape, is_read ? As::matrix : As::f32);
    call.bias = with_bias ? w("bias", {out}, As::f32) : nullptr;
    call.dilation = dilation;
    call.rate = rate;
    return call;
}

static Tensor convolved(Graph & g, Conv1dCall call, Tensor x, int64_t origin,
                        Tensor skip = nullptr) {
    call.x = x;
    call.origin = origin;
    call.skip = skip;
    return g.ops().convolve_1d(g, call);
}

SnakeBeta::SnakeBeta(const Weights & w, int64_t channels)
    : call{nullptr, w("act.alpha", {channels}, As::f32), w("act.beta", {channels}, As::f32),
           w("upsample.filter", {12}, As::f32), w("downsample.lowpass.filter", {12}, As::f32)} {}

Tensor SnakeBeta::operator()(Graph & g, Tensor x) const {
    SnakeCall now = call;
    now.x = x;
    return g.ops().snake(g, now);
}

GeneratorBlock::GeneratorBlock(const Weights & w, int64_t channels, int kernel,
                               const std::vector<int> & dilations, bool snake) {
    for (int j = 0; j < static_cast<int>(dilations.size()); ++j) {
        const int dilation = dilations[static_cast<size_t>(j)];
        convs1.push_back(conv1d(w / "convs1" / j, channels, channels, kernel, dilation));
        convs2.push_back(conv1d(w / "convs2" / j, channels, channels, kernel));
        convs1.back().leak = convs2.back().leak = snake ? 1 : leak;
        if (snake) {
            acts1.emplace_back(w / "acts1" / j, channels);
            acts2.emplace_back(w / "acts2" / j, channels);
        }
    }
}

Tensor GeneratorBlock::operator()(Graph & g, Tensor x, int64_t origin) const {
    const bool snake = !acts1.empty();
    for (size_t j = 0; j < convs1.size(); ++j) {
        const Tensor y = convolved(g, convs1[j], snake ? acts1[j](g, x) : x, origin);
        x = convolved(g, convs2[j], snake ? acts2[j](g, y) : y, origin, x);
    }
    return x;
}

Tensor GeneratorStage::operator()(Graph & g, Tensor x, int64_t origin) const {
    x = convolved(g, up, x, origin);
    Tensor sum = nullptr;
    for (const GeneratorBlock & block : blocks) {
        const Tensor y = block(g, x, origin * up.rate);
        sum = sum ? add(g, sum, y) : y;
    }
    return ggml_scale(g.ctx(), sum, 1.0f / static_cast<float>(blocks.size()));
}

Generator::Generator(const Weights & w, const GeneratorConfig & config)
    : config_(config),
      conv_pre_(conv1d(w / "conv_pre", Spectrogram::width, config.channels, end_kernel)) {
    const bool snake = config.snake;
    int64_t channels = config.channels;
    int block = 0;
    for (size_t i = 0; i < config.rates.size(); ++i, channels /= 2) {
        GeneratorStage stage;
        stage.up = conv1d(w / "ups" / static_cast<int>(i), channels, channels / 2,
                          config.kernels[i], 1, true, config.rates[i]);
        stage.up.leak = snake ? 1 : leak;
        for (size_t j = 0; j < config.block_kernels.size(); ++j)
            stage.blocks.emplace_back(w / "resblocks" / block++, channels / 2,
                                      config.block_kernels[j], config.dilations[j], snake);
        stages_.push_back(std::move(stage));
    }
    (w / "ups").end(static_cast<int64_t>(stages_.size()));
    (w / "resblocks").end(block);
    if (snake)
        act_post_.emplace(w / "act_post", channels);
    conv_post_ = conv1d(w / "conv_post", channels, 2, end_kernel, 1, config.bias);
    conv_post_.leak = snake ? 1 : last_leak;
}

// ---- how a spectrogram passes

int64_t Generator::reach() const {
    const int64_t act = config_.snake ? snake_reach : 0;
    int64_t reach = conv_reach(end_kernel) + act;
    for (size_t i = stages_.size(); i-- > 0;) {
        int64_t most = 0;
        for (size_t b = 0; b < config_.block_kernels.size(); ++b) {
            int64_t all = 0;
            for (const int dilation : config_.dilations[b])
                all += conv_reach(config_.block_kernels[b], dilation) +
                       conv_reach(config_.block_kernels[b]) + 2 * act;
            most = std::max(most, all);
        }
        reach = divide_up(reach + most + config_.kernels[i], int64_t{config_.rates[i]});
    }
    return reach + conv_reach(end_kernel);
}

int Generator::steps(int64_t frames) const {
    return static_cast<int>(divide_up(frames, window)) * static_cast<int>(stages_.size());
}

std::vector<float> Generator::in_one_piece(Device & device, const float * frames, int64_t origin,
                                           int64_t count, SoundSteps & steps) const {
    std::vector<float> out(static_cast<size_t>(2 * count * config_.rate()));
    Kept x;
    int64_t channels = config_.channels;
    for (size_t i = 0; i < stages_.size(); ++i) {
        Graph g(device, steps.progress);
        g.named("ups." + std::to_string(i));
        Tensor y = x.tensor;
        if (i == 0)
            y = convolved(g, conv_pre_,
                          g.input(GGML_TYPE_F32, {Spectrogram::width, count, 1, 1}, frames),
                          origin);
        y = stages_[i](g, y, origin);
        channels /= 2;
        count *= config_.rates[i];
        origin *= config_.rates[i];
        Kept made;
        if (i + 1 < stages_.size()) {
            made = device.keep(GGML_TYPE_F32, {channels, count, 1, 1});
            g.keep(y, made.tensor);
        } else {
            y = convolved(g, conv_post_, act_post_ ? (*act_post_)(g, y) : y, origin);
            if (config_.end == GeneratorConfig::End::tanh)
                y = ggml_tanh(g.ctx(), y);
            g.output(y, out.data());
        }
        g.run();
        x = std::move(made);
        steps.next();
    }
    if (config_.end == GeneratorConfig::End::clamp)
        for (float & sample : out) // here, since ggml's takes NaN for a bound
            sample = std::clamp(sample, -1.0f, 1.0f);
    return out;
}

std::vector<float> Generator::samples(Device & device, const Spectrogram & spectrogram,
                                      SoundSteps & steps) const {
    const int64_t frames = spectrogram.frames(), around = reach();
    const int64_t some = divide_up(frames, divide_up(frames, window)), rate = 2 * config_.rate();
    std::vector<float> out;
    out.reserve(static_cast<size_t>(frames * rate));
    for (int64_t first = 0; first < frames; first += some) {
        const int64_t last = std::min(frames, first + some);
        const int64_t from = std::max<int64_t>(0, first - around);
        const int64_t to = std::min(frames, last + around);
        const std::vector<float> piece = in_one_piece(
            device, spectrogram.values.data() + from * Spectrogram::width, from, to - from, steps);
        out.insert(out.end(), piece.begin() + (first - from) * rate,
                   piece.begin() + (last - from) * rate);
    }
    return out;
}

} // namespace ltx2
