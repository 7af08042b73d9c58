#include "vae/upsampler.h"

#include "base/round.h"

#include <algorithm>
#include <array>

namespace ltx2 {

static constexpr int64_t groups = 32;

// ---- layers

GroupNorm::GroupNorm(const Weights & w, int64_t channels)
    : weight(w("weight", {channels}, As::f32)), bias(w("bias", {channels}, As::f32)) {}

Tensor GroupNorm::operator()(Graph & g, Tensor x) const {
    const int64_t channels = x->ne[0], some = channels / groups;
    const int64_t positions = ggml_nelements(x) / channels;
    // All values of a group in a row, and back.
    Tensor y = ggml_reshape_3d(g.ctx(), x, some, groups, positions);
    y = ggml_cont(g.ctx(), ggml_permute(g.ctx(), y, 0, 2, 1, 3)); // [some, positions, groups]
    y = ggml_norm(g.ctx(), ggml_reshape_2d(g.ctx(), y, some * positions, groups), 1e-5f);
    y = ggml_reshape_3d(g.ctx(), y, some, positions, groups);
    y = ggml_cont(g.ctx(), ggml_permute(g.ctx(), y, 0, 2, 1, 3));
    y = ggml_reshape_4d(g.ctx(), y, channels, x->ne[1], x->ne[2], x->ne[3]);
    return add(g, mul(g, y, weight), bias);
}

UpsamplerBlock::UpsamplerBlock(const Weights & w, int64_t channels)
    : conv1(conv3d(w / "conv1", channels, channels, Border::zeros)),
      conv2(conv3d(w / "conv2", channels, channels, Border::zeros)), norm1(w / "norm1", channels),
      norm2(w / "norm2", channels) {}

// With a frame of zeros before and after.
static Tensor convolved(Graph & g, Conv3dCall conv, Tensor x) {
    const Shape frame = {x->ne[0], x->ne[1], x->ne[2], 1};
    const auto values = std::make_shared<std::vector<float>>(
        static_cast<size_t>(frame[0] * frame[1] * frame[2]), 0.0f);
    g.hold(values);
    const Tensor zeros = g.input(GGML_TYPE_F32, frame, values->data());
    conv.past = zeros;
    conv.x = ggml_concat(g.ctx(), x, zeros, 3);
    return g.ops().convolve(g, conv);
}

// ---- which one it is

Upsampler::Kind Upsampler::kind_of(const Weights & w, int64_t width) {
    Kind kind;
    kind.named = w.find("upsampler.conv.weight");
    const Weights conv = w / (kind.named ? "upsampler.conv" : "upsampler.0");
    const Source & weight = conv.source("weight");
    const int64_t outputs = conv.shape("bias", 1)[0]; // GGUF folds the weight's first two sides
    const int64_t parts = width ? outputs / width : 0;
    const bool in_time = weight.elements() == 27 * outputs * width;
    const auto is = [&](int64_t number) { return parts == number && outputs == number * width; };
    if (!kind.named && in_time && is(2))
        kind.time = 2;
    else if (!kind.named && in_time && is(8))
        kind.time = kind.space = 2;
    else if (!in_time && is(4))
        kind.space = 2;
    else if (kind.named && !in_time && is(9))
        kind.space = 3, kind.thin = 2; // times 3/2
    else
        fail(LTX2_STATUS_MODEL,
             "%s: tensor %s makes %lld of %lld channels, which no upsampler of "
             "LTX-2 does",
             weight.file->path.c_str(), weight.info->name.c_str(), static_cast<long long>(outputs),
             static_cast<long long>(width));
    return kind;
}

template <class Layer>
static std::vector<Layer> blocks(const Weights & w, int64_t width) {
    std::vector<Layer> all;
    while (w.find(words("%zu.conv1.weight", all.size())))
        all.emplace_back(w / static_cast<int>(all.size()), width);
    return all;
}

Upsampler::Upsampler(const Model & model, Device & device, const char * id)
    : device_(device), id_(id), store_(device),
      width_(Weights(store_, model.need(id)).shape("initial_norm.weight", 1)[0]),
      channels_(Weights(store_, model.need(id)).shape("final_conv.bias", 1)[0]),
      kind_(kind_of(Weights(store_, model.need(id)), width_)),
      initial_conv_(conv3d(Weights(store_, model.need(id), "initial_conv"), channels_, width_,
                           Border::zeros)),
      grow_conv_(
          conv3d(Weights(store_, model.need(id), kind_.named ? "upsampler.conv" : "upsampler.0"),
                 width_, width_ * kind_.time * kind_.space * kind_.space, Border::zeros, 3,
                 /*flat=*/kind_.time == 1)),
      final_conv_(
          conv3d(Weights(store_, model.need(id), "final_conv"), width_, channels_, Border::zeros)),
      initial_norm_(Weights(store_, model.need(id), "initial_norm"), width_),
      res_blocks_(blocks<UpsamplerBlock>(Weights(store_, model.need(id), "res_blocks"), width_)),
      post_upsample_res_blocks_(blocks<UpsamplerBlock>(
          Weights(store_, model.need(id), "post_upsample_res_blocks"), width_)) {
    if (width_ % groups)
        fail(LTX2_STATUS_MODEL, "%s: an upsampler of %lld channels, no multiple of %lld",
             model.need(id).file->path.c_str(), static_cast<long long>(width_),
             static_cast<long long>(groups));
}

void Upsampler::load(const Progress & progress) { store_.load(progress); }

Grid Upsampler::enlarged(const Grid & grid) const {
    const auto side = [&](int n) { return (n * kind_.space - 1) / kind_.thin + 1; };
    return {grid.frames * kind_.time - (kind_.time - 1), side(grid.height), side(grid.width)};
}

// ---- how latents pass

Kept Upsampler::through(const UpsamplerBlock & block, Kept x, const Progress & progress) const {
    Graph g(device_, progress);
    Tensor y = ggml_silu(g.ctx(), block.norm1(g, convolved(g, block.conv1, x.tensor)));
    y = block.norm2(g, convolved(g, block.conv2, y));
    g.keep(ggml_silu(g.ctx(), add(g, y, x.tensor)), x.tensor);
    g.run();
    return x;
}

Kept Upsampler::grown(Kept x, const Progress & progress) const {
    Graph g(device_, progress);
    ShuffleCall what;
    if (kind_.time == 1) {
        Conv3dCall conv = grow_conv_;
        conv.x = x.tensor;
        what.x = g.ops().convolve(g, conv);
    } else {
        what.x = convolved(g, grow_conv_, x.tensor);
    }
    what.time = kind_.time;
    what.space = kind_.space;
    what.drop = kind_.time - 1; // the first latent frame is one frame
    const Tensor y = kind_.thin == 1 ? g.ops().depth_to_space(g, what) : what.x;
    Kept out = device_.keep(GGML_TYPE_F32, shape_of(y));
    g.keep(y, out.tensor);
    g.run();
    return kind_.thin == 1 ? std::move(out) : thinned(std::move(out));
}

// Channel (c*space + p)*space + q is row offset p and column offset q; of those rows and columns,
// blurred by 1 4 6 4 1, every `thin`-th. It takes little beside the convolutions.
Kept Upsampler::thinned(Kept x) const {
    constexpr std::array<float, 5> blur = {1 / 16.f, 4 / 16.f, 6 / 16.f, 4 / 16.f, 1 / 16.f};
    const Shape ne = shape_of(x.tensor);
    const int64_t space = kind_.space, thin = kind_.thin, channels = ne[0] / (space * space);
    const int64_t width = ne[1] * space, height = ne[2] * space;
    const int64_t out_width = (width - 1) / thin + 1, out_height = (height - 1) / thin + 1;
    std::vector<float> in(static_cast<size_t>(ggml_nelements(x.tensor)));
    device_.read(x.tensor, in.data());
    std::vector<float> out(static_cast<size_t>(channels * out_width * out_height * ne[3]), 0.0f);
    float * to = out.data();
    for (int64_t t = 0; t < ne[3]; ++t)
        for (int64_t row = 0; row < out_height; ++row)
            for (int64_t column = 0; column < out_width; ++column, to += channels)
                for (int64_t tap = 0; tap < 25; ++tap) {
                    const int64_t y = row * thin + tap / 5 - 2, x_at = column * thin + tap % 5 - 2;
                    if (y < 0 || y >= height || x_at < 0 || x_at >= width)
                        continue;
                    const float share = blur[tap / 5] * blur[tap % 5];
                    const float * from = in.data() +
                                         ((t * ne[2] + y / space) * ne[1] + x_at / space) * ne[0] +
                                         y % space * space + x_at % space;
                    for (int64_t c = 0; c < channels; ++c)
                        to[c] += share * from[c * space * space];
                }
    x = Kept();
    Kept kept = device_.keep(GGML_TYPE_F32, {channels, out_width, out_height, ne[3]});
    device_.write(kept.tensor, out.data(), out.size() * sizeof out[0]);
    return kept;
}

Latents Upsampler::enlarge(const Latents & latents, const Progress & progress) const {
    if (latents.channels != channels_)
        fail(LTX2_STATUS_INVALID_ARGUMENT, "latents: %d channels, and the upsampler takes %lld",
             latents.channels, static_cast<long long>(channels_));
    const Shape ne = {channels_, latents.grid.width, latents.grid.height, latents.grid.frames};
    const int total = static_cast<int>(res_blocks_.size() + post_upsample_res_blocks_.size()) + 2;
    int done = 0;
    progress("upscale", done, total);
    Kept x = device_.keep(GGML_TYPE_F32, {width_, ne[1], ne[2], ne[3]});
    {
        Graph g(device_, progress);
        const Tensor in = g.input(GGML_TYPE_F32, ne, latents.values.data());
        const Tensor y = initial_norm_(g, convolved(g, initial_conv_, in));
        g.keep(ggml_silu(g.ctx(), y), x.tensor);
        g.run();
    }
    for (const UpsamplerBlock & block : res_blocks_) {
        x = through(block, std::move(x), progress);
        progress("upscale", ++done, total);
    }
    x = grown(std::move(x), progress);
    progress("upscale", ++done, total);
    for (const UpsamplerBlock & block : post_upsample_res_blocks_) {
        x = through(block, std::move(x), progress);
        progress("upscale", ++done, total);
    }
    Latents out{enlarged(latents.grid), latents.channels, {}};
    out.values.resize(static_cast<size_t>(out.size()));
    Graph g(device_, progress);
    g.output(convolved(g, final_conv_, x.tensor), out.values.data());
    g.run();
    progress("upscale", total, total);
    device_.trim();
    return out;
}

} // namespace ltx2
