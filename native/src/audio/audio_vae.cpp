#include "audio/audio_vae.h"

#include "base/round.h"
#include "base/utf8.h"

#include <algorithm>

namespace ltx2 {

// Tensors are [channels, bins, frames, 1].

// ---- layers

static constexpr float eps = 1e-6f;                       // of PixelNorm
static constexpr int64_t block_reach = 4, conv_reach = 2; // frames before that are seen

// Outputs see no frame after their own.
static Conv3dCall causal_conv(const Weights & w, int64_t in, int64_t out, int kernel = 3) {
    Conv3dCall call = conv3d(w, in, out, Border::zeros, kernel, /*flat=*/true);
    call.up = kernel / 2;
    return call;
}

static Tensor convolved(Graph & g, Conv3dCall call, Tensor x, Tensor skip = nullptr) {
    call.x = x;
    call.skip = skip;
    return g.ops().convolve(g, call);
}
static Tensor activated(Graph & g, Tensor x) { return g.ops().pixel_norm_silu(g, nullptr, x, eps); }

AudioResBlock::AudioResBlock(const Weights & w, int64_t in, int64_t out)
    : conv1(causal_conv(w / "conv1.conv", in, out)),
      conv2(causal_conv(w / "conv2.conv", out, out)) {
    if (in != out)
        nin_shortcut = causal_conv(w / "nin_shortcut.conv", in, out, 1);
}

Tensor AudioResBlock::operator()(Graph & g, Tensor x) const {
    const Tensor y = convolved(g, conv1, activated(g, x));
    return convolved(g, conv2, activated(g, y), nin_shortcut ? convolved(g, *nin_shortcut, x) : x);
}

static Tensor through(Graph & g, const std::vector<AudioResBlock> & blocks, Tensor x) {
    for (const AudioResBlock & block : blocks)
        x = block(g, x);
    return x;
}

// ---- what both halves share

static Config inside(const Config & config, const char * key) {
    return config.find(key) ? config.at(key) : Config({}, config.what(key) + ".");
}

AudioVaeConfig::AudioVaeConfig(const Part & part) {
    const Config all = part.group("audio_vae"), params = inside(inside(all, "model"), "params");
    const Config c = inside(params, "ddconfig"),
                 stft = inside(inside(all, "preprocessing"), "stft");
    const int width = c.integer("ch", 128, 1, 1 << 12);
    for (const double times : c.numbers("ch_mult", {1, 2, 4})) {
        if (!(times >= 1 && times <= 64 && times == static_cast<int>(times)))
            c.refuse("ch_mult", "holds what is not 1..64");
        widths.push_back(width * static_cast<int64_t>(times));
    }
    if (widths.size() != 3)
        c.refuse("ch_mult", words("has %zu values; 3 are supported", widths.size()));
    res_blocks = c.integer("num_res_blocks", 2, 1, 64);
    latent_channels = c.integer("z_channels", 8, 1, 1 << 12);
    c.integer("in_channels", 2, 2, 2);
    c.integer("out_ch", 2, 2, 2);
    c.integer("mel_bins", Spectrogram::bands, Spectrogram::bands, Spectrogram::bands);
    c.require("norm_type", "pixel", "pixel");
    c.require("causality_axis", "height", "height");
    c.require_flag("double_z", true, true);
    params.integer("sampling_rate", 16000, 16000, 16000);
    stft.integer("filter_length", 1024, 1024, 1024);
    stft.integer("hop_length", 160, 160, 160);
    stft.require_flag("causal", true, true);
    for (const auto & [name, source] : part.tensors)
        if (name.find(".attn") != std::string::npos)
            fail(LTX2_STATUS_MODEL, "%s: tensor %s: attention in an audio VAE is not supported",
                 source.file->path.c_str(), shown(name).c_str());
}

AudioVae::AudioVae(const Model & model, Device & device, const char * half)
    : device_(device), store_(device), config_(model.need(part)) {
    const Weights all(store_, model.need(part), part);
    mean_ = (all / "per_channel_statistics")("mean-of-means", {config_.token()}, As::f32);
    deviation_ = (all / "per_channel_statistics")("std-of-means", {config_.token()}, As::f32);
    const int64_t width = config_.widths.back();
    for (const char * name : {"block_1", "block_2"})
        mid_.emplace_back(all / half / "mid" / name, width, width);
}

// Calls run(from, first, last) for windows of latents [first, last), each from the earlier latent
// `from` on.
template <class Run>
static void each_window(int64_t latents, int64_t window, int64_t reach, const Progress & progress,
                        Run run) {
    const int64_t windows = divide_up(latents, window), some = divide_up(latents, windows);
    for (int64_t first = 0; first < latents; first += some) {
        progress("sound", static_cast<int>(first / some), static_cast<int>(windows));
        run(std::max<int64_t>(0, first - reach), first, std::min(latents, first + some));
    }
    progress("sound", static_cast<int>(windows), static_cast<int>(windows));
}

// The first two axes change places.
static Tensor swapped(Graph & g, Tensor x) {
    return ggml_cont(g.ctx(), ggml_permute(g.ctx(), x, 1, 0, 2, 3));
}

// ---- decoder

AudioDecoder::AudioDecoder(const Model & model, Device & device)
    : AudioVae(model, device, "decoder") {
    const Weights w(store_, model.need(part), "audio_vae.decoder");
    int64_t width = config_.widths.back();
    conv_in_ = causal_conv(w / "conv_in.conv", config_.latent_channels, width);
    levels_.resize(config_.widths.size());
    for (size_t i = levels_.size(); i-- > 0;) {
        const Weights level = w / "up" / static_cast<int>(i);
        for (int j = 0; j <= config_.res_blocks; ++j, width = config_.widths[i])
            levels_[i].block.emplace_back(level / "block" / j, width, config_.widths[i]);
        if (i > 0)
            // The first row of frames is dropped after it: as if each saw one frame after its own.
            levels_[i].sample = conv3d(level / "upsample.conv.conv", width, width, Border::zeros, 3,
                                       /*flat=*/true);
    }
    conv_out_ = causal_conv(w / "conv_out.conv", width, 2);
}

int64_t AudioDecoder::reach() const {
    int64_t frames = conv_reach;
    for (size_t i = 0; i < levels_.size(); ++i) {
        frames = i ? (frames + 1) / 2 + 1 : frames;
        frames += block_reach * static_cast<int64_t>(levels_[i].block.size());
    }
    return frames + block_reach * static_cast<int64_t>(mid_.size()) + conv_reach;
}

// Latents [token, n] -> [bands, 2, frames]
Tensor AudioDecoder::frames(Graph & g, Tensor latents) const {
    const int64_t n = latents->ne[1];
    Tensor x = add(g, mul(g, latents, deviation_), mean_);
    x = swapped(g, ggml_reshape_3d(g.ctx(), x, config_.bins(), config_.latent_channels, n));
    x = through(g, mid_, convolved(g, conv_in_, x));
    for (size_t i = levels_.size(); i-- > 0;) {
        x = through(g, levels_[i].block, x);
        if (!levels_[i].sample)
            continue;
        x = ggml_interpolate(g.ctx(), x, x->ne[0], 2 * x->ne[1], 2 * x->ne[2], 1,
                             GGML_SCALE_MODE_NEAREST);
        x = convolved(g, *levels_[i].sample, x);
        x = ggml_view_4d(g.ctx(), x, x->ne[0], x->ne[1], x->ne[2] - 1, 1, x->nb[1], x->nb[2],
                         x->nb[3], 0);
    }
    return swapped(g, convolved(g, conv_out_, activated(g, x)));
}

Spectrogram AudioDecoder::decode(const Latents & latents, const Progress & progress) const {
    const int64_t token = config_.token(), time = config_.time(), count = latents.grid.cells();
    if (latents.channels != token || count < 1)
        fail(LTX2_STATUS_INVALID_ARGUMENT,
             "latents: %lld of %d channels, and the audio VAE has %lld",
             static_cast<long long>(count), latents.channels, static_cast<long long>(token));
    Spectrogram out;
    each_window(count, window, reach(), progress, [&](int64_t from, int64_t first, int64_t last) {
        const int64_t frames_made = time * (last - from) - (time - 1);
        std::vector<float> values(static_cast<size_t>(frames_made * Spectrogram::width));
        Graph g(device_, progress);
        const Tensor x = g.input(GGML_TYPE_F32, {token, last - from, 1, 1},
                                 latents.values.data() + from * token);
        g.output(frames(g, x), values.data());
        g.run();
        const int64_t known = first ? time * (first - from) - (time - 1) : 0;
        out.values.insert(out.values.end(), values.begin() + known * Spectrogram::width,
                          values.end());
    });
    device_.trim();
    return out;
}

// ---- encoder

AudioEncoder::AudioEncoder(const Model & model, Device & device)
    : AudioVae(model, device, "encoder") {
    const Weights w(store_, model.need(part), "audio_vae.encoder");
    int64_t width = config_.widths.front();
    conv_in_ = causal_conv(w / "conv_in.conv", 2, width);
    levels_.resize(config_.widths.size());
    for (size_t i = 0; i < levels_.size(); ++i) {
        const Weights level = w / "down" / static_cast<int>(i);
        for (int j = 0; j < config_.res_blocks; ++j, width = config_.widths[i])
            levels_[i].block.emplace_back(level / "block" / j, width, config_.widths[i]);
        if (i + 1 == levels_.size())
            continue;
        Conv3dCall down = causal_conv(level / "downsample.conv", width, width);
        down.stride_space = 2;
        down.left = -1; // no border before the first bin
        levels_[i].sample = down;
    }
    conv_out_ = causal_conv(w / "conv_out.conv", width, 2 * config_.latent_channels);
}

int64_t AudioEncoder::reach() const {
    int64_t frames = conv_reach + block_reach * static_cast<int64_t>(mid_.size());
    for (size_t i = levels_.size(); i-- > 0;) {
        frames = levels_[i].sample ? 2 * frames + conv_reach : frames;
        frames += block_reach * static_cast<int64_t>(levels_[i].block.size());
    }
    return divide_up(frames + conv_reach, int64_t{config_.time()});
}

// [bands, 2, frames] -> latents [token, n]
Tensor AudioEncoder::latents(Graph & g, Tensor frames) const {
    Tensor x = convolved(g, conv_in_, swapped(g, frames));
    for (const AudioLevel & level : levels_) {
        x = through(g, level.block, x);
        x = level.sample ? convolved(g, *level.sample, x) : x;
    }
    x = convolved(g, conv_out_, activated(g, through(g, mid_, x)));
    const Tensor means = ggml_view_3d(g.ctx(), x, config_.latent_channels, x->ne[1], x->ne[2],
                                      x->nb[1], x->nb[2], 0); // what is left are variances
    x = ggml_reshape_2d(g.ctx(), swapped(g, means), config_.token(), x->ne[2]);
    return ggml_div(g.ctx(), ggml_sub(g.ctx(), x, mean_), deviation_);
}

Latents AudioEncoder::encode(const Spectrogram & spectrogram, const Progress & progress) const {
    const int64_t frames = spectrogram.frames(), time = config_.time(), token = config_.token();
    if (frames < 1)
        fail(LTX2_STATUS_INVALID_ARGUMENT, "sound: has no samples");
    const int64_t count = divide_up(frames, time);
    Latents out{{static_cast<int>(count), 1, 1}, static_cast<int>(token), {}};
    each_window(count, window, reach(), progress, [&](int64_t from, int64_t first, int64_t last) {
        const int64_t seen = std::min(frames, time * (last - 1) + 1) - time * from;
        std::vector<float> values(static_cast<size_t>((last - from) * token));
        Graph g(device_, progress);
        const Tensor x = g.input(GGML_TYPE_F32, {Spectrogram::bands, 2, seen, 1},
                                 spectrogram.values.data() + time * from * Spectrogram::width);
        g.output(latents(g, x), values.data());
        g.run();
        out.values.insert(out.values.end(), values.begin() + (first - from) * token, values.end());
    });
    device_.trim();
    return out;
}

} // namespace ltx2
