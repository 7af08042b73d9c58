#include "vae/layer_runs.h"

#include <algorithm>

namespace ltx2 {

static constexpr float eps = 1e-8f; // of PixelNorm

Past::Past(Shape frame, bool causal)
    : frame_{frame[0], frame[1], frame[2], 2}, causal_(causal), before_(causal ? 2 : 1) {}

Conv3dCall Past::call(Graph & g, const Conv3dCall & conv, Tensor x, bool last) {
    call_ = conv;
    call_.x = x;
    call_.past = kept_frames_ ? frames_of(g, kept_.tensor, 0, kept_frames_) : nullptr;
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

Tensor VaeConvRun::operator()(Graph & g, Tensor x, bool last) {
    const Tensor seen = layer.activated ? g.ops().pixel_norm_silu(g, nullptr, x, eps) : x;
    Conv3dCall call = past.call(g, layer.conv, seen, last);
    call.normed = layer.activated;
    return call.out_frames() ? g.ops().convolve(g, call) : nullptr;
}

static Shape widened(Shape frame, int64_t channels) {
    return {channels, frame[1], frame[2], frame[3]};
}

VaeResRun::VaeResRun(const VaeResBlock & layer, Shape frame, bool causal)
    : layer(layer), past1(frame, causal), past2(widened(frame, layer.conv1.bias->ne[0]), causal) {}

// Over all channels and positions of all frames together, as nn.GroupNorm(1, channels).
static Tensor whole_norm(Graph & g, Tensor x, Tensor weight, Tensor bias, float eps) {
    Tensor row = ggml_reshape_1d(g.ctx(), ggml_cont(g.ctx(), x), ggml_nelements(x));
    Tensor y = ggml_reshape(g.ctx(), ggml_norm(g.ctx(), row, eps), x);
    return add(g, mul(g, y, weight), bias);
}

Tensor VaeResRun::operator()(Graph & g, Tensor x, bool last) {
    second = false;
    Conv3dCall call1 = past1.call(g, layer.conv1, x, last);
    if (call1.out_frames() == 0)
        return nullptr;
    // The past is kept as it came, for the sum at the end: its two frames are normed once more.
    call1.x = g.ops().pixel_norm_silu(g, call1.past, x, eps);
    call1.past = nullptr;
    call1.normed = true;
    const Tensor h = g.ops().convolve(g, call1);

    second = true;
    Conv3dCall call2 =
        past2.call(g, layer.conv2, g.ops().pixel_norm_silu(g, nullptr, h, eps), last);
    call2.normed = true;
    call2.skip = x;
    call2.skip_past = past1.frames();
    call2.skip_first = past2.given() - past1.first();
    if (layer.conv_shortcut) { // the whole video at once, so there is no past
        Conv3dCall side = *layer.conv_shortcut;
        side.x = whole_norm(g, x, layer.norm3_weight, layer.norm3_bias, 1e-6f);
        side.normed = true;
        call2.skip = g.ops().convolve(g, side);
    }
    return call2.out_frames() ? g.ops().convolve(g, call2) : nullptr;
}

void VaeResRun::finish(Graph & g) {
    past1.finish(g);
    if (second)
        past2.finish(g);
}

Tensor VaeUpsampleRun::operator()(Graph & g, Tensor x, bool last) {
    const Conv3dCall call = past.call(g, layer.conv, x, last);
    if (call.out_frames() == 0)
        return nullptr;
    ShuffleCall what;
    what.x = g.ops().convolve(g, call);
    what.time = layer.stage.time;
    what.space = layer.stage.space;
    what.drop = layer.stage.time == 2 && !begun ? 1 : 0;
    if (layer.stage.residual) {
        what.skip = x;
        what.skip_past = past.frames();
        what.skip_first = past.given() - past.first();
    }
    begun = true;
    return g.ops().depth_to_space(g, what);
}

Tensor VaeDownsampleRun::operator()(Graph & g, Tensor x, bool last) {
    left = nullptr;
    if (layer.stage.time == 2) {
        if (!begun || waiting)
            x = ggml_concat(g.ctx(), waiting ? odd.tensor : frames_of(g, x, 0, 1), x, 3);
    }
    begun = true;
    const int64_t even = x->ne[3] - x->ne[3] % layer.stage.time;
    if (even < x->ne[3])
        left = frames_of(g, x, even, 1);
    ran = even > 0;
    if (!ran)
        return nullptr;
    x = frames_of(g, x, 0, even);
    ShuffleCall what;
    what.x = g.ops().convolve(g, past.call(g, layer.conv, x, last));
    what.skip = x;
    what.time = layer.stage.time;
    what.space = layer.stage.space;
    return g.ops().space_to_depth(g, what);
}

void VaeDownsampleRun::finish(Graph & g) {
    if (ran)
        past.finish(g);
    waiting = left != nullptr;
    if (!waiting)
        return;
    if (!odd.tensor)
        odd = g.device().keep(GGML_TYPE_F32, {left->ne[0], left->ne[1], left->ne[2], 1});
    g.keep(left, odd.tensor);
}

VaeLayerRun begin(const VaeLayer & layer, Shape frame, bool causal) {
    return std::visit(
        [&](const auto & weights) -> VaeLayerRun {
            return typename std::decay_t<decltype(weights)>::Run(weights, frame, causal);
        },
        layer.weights);
}

} // namespace ltx2
