#include "vae/layers.h"

#include <algorithm>

namespace ltx2 {

VaeConv::VaeConv(const Weights & w, int64_t in, int64_t out, Border border, int kernel)
    : weight(w("weight", {in, out, int64_t{kernel} * kernel * kernel}, As::taps)),
      bias(w("bias", {out}, As::f32)), kernel(kernel), border(border) {}

void VaeConv::pack(const Device & device) const {
    if (device.ops().pack)
        device.ops().pack(weight);
}

void Past::start(Shape frame, bool causal) {
    frame_ = {frame[0], frame[1], frame[2], 2};
    causal_ = causal;
    before_ = causal ? 2 : 1;
    kept_frames_ = seen_ = given_ = 0;
}

Conv3dCall Past::call(Graph & g, const VaeConv & conv, Tensor x, bool last) {
    view_ = kept_frames_ ? frames_of(g, kept_.tensor, 0, kept_frames_) : nullptr;
    call_ = Conv3dCall();
    call_.x = x;
    call_.past = view_;
    call_.weight = conv.weight;
    call_.bias = conv.bias;
    call_.kernel = conv.kernel;
    call_.stride_time = conv.stride_time;
    call_.stride_space = conv.stride_space;
    call_.border = conv.border;
    call_.before = before_;
    call_.after = last && !causal_ ? 1 : 0;
    last_ = last;
    return call_;
}

void Past::finish(Graph & g) {
    const int64_t fresh = call_.x->ne[3], have = kept_frames_ + fresh;
    seen_ += fresh;
    given_ += call_.out_frames();
    if (last_)
        return;
    if (!kept_.tensor)
        kept_ = g.device().keep(GGML_TYPE_F32, frame_);
    const int64_t waiting = before_ + have - call_.stride_time * call_.out_frames();
    const int64_t kept = std::min(waiting, have);
    before_ = static_cast<int>(waiting - kept);
    // At most one comes from the old past, since x brings at least one: it moves first.
    const int64_t moved = std::max<int64_t>(0, kept - fresh);
    if (moved && kept_frames_ > moved)
        g.keep(frames_of(g, kept_.tensor, kept_frames_ - 1, 1), frames_of(g, kept_.tensor, 0, 1));
    g.keep(frames_of(g, call_.x, fresh - (kept - moved), kept - moved),
           frames_of(g, kept_.tensor, moved, kept - moved));
    kept_frames_ = kept;
}

void VaeConvLayer::start(Shape frame, bool causal) { past.start(frame, causal); }

Tensor VaeConvLayer::operator()(Graph & g, Tensor x, bool last) {
    const Tensor seen = activated ? g.ops().pixel_norm_silu(g, nullptr, x) : x;
    const Conv3dCall call = past.call(g, conv, seen, last);
    return call.out_frames() ? g.ops().convolve(g, call) : nullptr;
}

VaeResBlock::VaeResBlock(const Weights & w, int64_t in, int64_t out, Border border)
    : conv1(w / "conv1.conv", in, out, border), conv2(w / "conv2.conv", out, out, border) {
    if (in == out)
        return;
    conv_shortcut.emplace_back(w / "conv_shortcut", in, out, border, 1);
    norm3_weight = w("norm3.weight", {in}, As::f32);
    norm3_bias = w("norm3.bias", {in}, As::f32);
}

void VaeResBlock::pack(const Device & device) const {
    conv1.pack(device);
    conv2.pack(device);
    for (const VaeConv & conv : conv_shortcut)
        conv.pack(device);
}

void VaeResBlock::start(Shape frame, bool causal) {
    past1.start(frame, causal);
    frame[0] = conv1.bias->ne[0];
    past2.start(frame, causal);
}

// Over all channels and positions of all frames together, as nn.GroupNorm(1, channels).
static Tensor whole_norm(Graph & g, Tensor x, Tensor weight, Tensor bias, float eps) {
    Tensor row = ggml_reshape_1d(g.ctx(), ggml_cont(g.ctx(), x), ggml_nelements(x));
    Tensor y = ggml_reshape(g.ctx(), ggml_norm(g.ctx(), row, eps), x);
    return add(g, mul(g, y, weight), bias);
}

Tensor VaeResBlock::operator()(Graph & g, Tensor x, bool last) {
    second = false;
    Conv3dCall call1 = past1.call(g, conv1, x, last);
    if (call1.out_frames() == 0)
        return nullptr;
    // The past is kept as it came, for the sum at the end: its two frames are normed once more.
    call1.x = g.ops().pixel_norm_silu(g, call1.past, x);
    call1.past = nullptr;
    const Tensor h = g.ops().convolve(g, call1);

    second = true;
    Conv3dCall call2 = past2.call(g, conv2, g.ops().pixel_norm_silu(g, nullptr, h), last);
    call2.skip = x;
    call2.skip_past = past1.frames();
    call2.skip_first = past2.given() - past1.first();
    if (!conv_shortcut.empty()) { // the whole video at once, so there is no past
        Conv3dCall side;
        side.x = whole_norm(g, x, norm3_weight, norm3_bias, 1e-6f);
        side.weight = conv_shortcut[0].weight;
        side.bias = conv_shortcut[0].bias;
        side.kernel = 1;
        call2.skip = g.ops().convolve(g, side);
    }
    return call2.out_frames() ? g.ops().convolve(g, call2) : nullptr;
}

void VaeResBlock::finish(Graph & g) {
    past1.finish(g);
    if (second)
        past2.finish(g);
}

void VaeResBlock::stop() {
    past1.stop();
    past2.stop();
}

void VaeUpsample::start(Shape frame, bool causal) {
    past.start(frame, causal);
    begun = false;
}

Tensor VaeUpsample::operator()(Graph & g, Tensor x, bool last) {
    const Conv3dCall call = past.call(g, conv, x, last);
    if (call.out_frames() == 0)
        return nullptr;
    ShuffleCall what;
    what.x = g.ops().convolve(g, call);
    what.time = stage.time;
    what.space = stage.space;
    what.drop = stage.time == 2 && !begun ? 1 : 0;
    if (stage.residual) {
        what.skip = x;
        what.skip_past = past.frames();
        what.skip_first = past.given() - past.first();
    }
    begun = true;
    return g.ops().depth_to_space(g, what);
}

void VaeDownsample::start(Shape frame, bool causal) {
    past.start(frame, causal);
    begun = waiting = false;
}

void VaeDownsample::stop() {
    past.stop();
    odd = Kept();
}

Tensor VaeDownsample::operator()(Graph & g, Tensor x, bool last) {
    left = nullptr;
    if (stage.time == 2) {
        if (!begun || waiting)
            x = ggml_concat(g.ctx(), waiting ? odd.tensor : frames_of(g, x, 0, 1), x, 3);
    }
    begun = true;
    const int64_t even = x->ne[3] - x->ne[3] % stage.time;
    if (even < x->ne[3])
        left = frames_of(g, x, even, 1);
    ran = even > 0;
    if (!ran)
        return nullptr;
    x = frames_of(g, x, 0, even);
    ShuffleCall what;
    what.x = g.ops().convolve(g, past.call(g, conv, x, last));
    what.skip = x;
    what.time = stage.time;
    what.space = stage.space;
    return g.ops().space_to_depth(g, what);
}

void VaeDownsample::finish(Graph & g) {
    if (ran)
        past.finish(g);
    waiting = left != nullptr;
    if (!waiting)
        return;
    if (!odd.tensor)
        odd = g.device().keep(GGML_TYPE_F32, {left->ne[0], left->ne[1], left->ne[2], 1});
    g.keep(left, odd.tensor);
}

namespace {
struct Builder {
    const Weights & root;
    const VaeConfig & config;
    std::vector<VaeLayer> layers;

    VaeConv conv(const Weights & at, int64_t in, int64_t out) const {
        return VaeConv(at / "conv", in, out, config.border);
    }
    void end(const char * name, int64_t in, int64_t out, bool activated) {
        layers.push_back(
            {name, "", in, out, 1, 1, 1, 1, VaeConvLayer{conv(root / name, in, out), activated}});
    }
    void res(const VaeStage & stage, const std::string & path) {
        const bool single = stage.kind == VaeStage::Kind::res_to;
        for (int i = 0; i < stage.layers; ++i) {
            const std::string name = single ? path : path + ".res_blocks." + std::to_string(i);
            layers.push_back({name, "", stage.in, stage.out, 1, 1, 1, 1,
                              VaeResBlock(root / name, stage.in, stage.out, config.border)});
        }
    }
    void strided(const VaeStage & stage, const std::string & path) {
        VaeConv c = conv(root / path, stage.in, stage.out);
        c.stride_time = stage.time;
        c.stride_space = stage.space;
        layers.push_back(
            {path, "", stage.in, stage.out, stage.time, stage.space, 1, 1, VaeConvLayer{c, false}});
    }
    void stage(const VaeStage & stage, const std::string & path, bool down) {
        const size_t before = layers.size();
        if (stage.kind == VaeStage::Kind::strided)
            strided(stage, path);
        else if (stage.kind != VaeStage::Kind::shuffled)
            res(stage, path);
        else if (down)
            layers.push_back(
                {path, "", stage.in, stage.out, stage.time, stage.space, 1, 1,
                 VaeDownsample{conv(root / path / "conv", stage.in, stage.out / stage.parts()),
                               stage}});
        else
            layers.push_back(
                {path, "", stage.in, stage.out, 1, 1, stage.time, stage.space,
                 VaeUpsample{conv(root / path / "conv", stage.in, stage.out * stage.parts()),
                             stage}});
        if (layers.size() > before)
            layers.back().stage = path;
    }
    std::vector<VaeLayer> all(int64_t first_in, const std::string & blocks, bool down) {
        end("conv_in", first_in, config.first_width, false);
        for (size_t i = 0; i < config.stages.size(); ++i)
            stage(config.stages[i], blocks + "." + std::to_string(i), down);
        end("conv_out", config.last_width, config.out_channels, true);
        return std::move(layers);
    }
};
} // namespace

std::vector<VaeLayer> encoder_layers(const Weights & w, const VaeConfig & config) {
    Builder builder{w, config, {}};
    return builder.all(3 * config.patch * config.patch, "down_blocks", true);
}

std::vector<VaeLayer> decoder_layers(const Weights & w, const VaeConfig & config) {
    Builder builder{w, config, {}};
    return builder.all(config.latent_channels, "up_blocks", false);
}

} // namespace ltx2
