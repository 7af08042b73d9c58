#include "vae/ops.h"

namespace ltx2 {

using kernels::Border;
using kernels::Conv3dCall;
using kernels::Shuffle;

Tensor frames_of(Graph & g, Tensor x, int64_t first, int64_t count) {
    return ggml_view_4d(g.ctx(), x, x->ne[0], x->ne[1], x->ne[2], count, x->nb[1], x->nb[2],
                        x->nb[3], static_cast<size_t>(first) * x->nb[3]);
}

static Tensor join(Graph & g, Tensor a, Tensor b, int axis) {
    return a ? ggml_concat(g.ctx(), a, b, axis) : b;
}

// `count` positions of an axis (1: columns, 2: rows) from `first`.
static Tensor part(Graph & g, Tensor x, int axis, int64_t first, int64_t count) {
    int64_t ne[4] = {x->ne[0], x->ne[1], x->ne[2], x->ne[3]};
    ne[axis] = count;
    return ggml_view_4d(g.ctx(), x, ne[0], ne[1], ne[2], ne[3], x->nb[1], x->nb[2], x->nb[3],
                        static_cast<size_t>(first) * x->nb[axis]);
}

// One more position at both ends of an axis.
static Tensor with_border(Graph & g, Tensor x, int axis, Border border) {
    const int64_t n = x->ne[axis];
    if (border == Border::zeros)
        return ggml_pad_ext(g.ctx(), x, 0, 0, axis == 1, axis == 1, axis == 2, axis == 2, 0, 0);
    const int64_t low = border == Border::reflect ? 1 : border == Border::replicate ? 0 : n - 1;
    const Tensor front = part(g, x, axis, low, 1), back = part(g, x, axis, n - 1 - low, 1);
    return join(g, join(g, ggml_cont(g.ctx(), front), x, axis), ggml_cont(g.ctx(), back), axis);
}

static Tensor with_copies(Graph & g, Tensor x, int before, int after) {
    const Tensor first = frames_of(g, x, 0, 1), last = frames_of(g, x, x->ne[3] - 1, 1);
    for (int i = 0; i < before; ++i)
        x = join(g, first, x, 3);
    for (int i = 0; i < after; ++i)
        x = join(g, x, last, 3);
    return x;
}

// Every `stride`-th position of columns, rows and frames, from (x, y, t), in memory of its own.
static Tensor sampled(Graph & g, Tensor a, const Conv3dCall & call, int64_t x, int64_t y,
                      int64_t t) {
    const size_t space = static_cast<size_t>(call.stride_space);
    const size_t offset = static_cast<size_t>(x) * a->nb[1] + static_cast<size_t>(y) * a->nb[2] +
                          static_cast<size_t>(t) * a->nb[3];
    Tensor view = ggml_view_4d(g.ctx(), a, a->ne[0], call.out_width(), call.out_height(),
                               call.out_frames(), a->nb[1] * space, a->nb[2] * space,
                               a->nb[3] * static_cast<size_t>(call.stride_time), offset);
    return ggml_cont(g.ctx(), view);
}

// A sum over taps: each a matrix product of the shifted input.
static Tensor convolve_plain(Graph & g, const Conv3dCall & call) {
    ggml_context * ctx = g.ctx();
    const int k = call.kernel;
    Tensor x = with_copies(g, join(g, call.past, call.x, 3), call.before, call.after);
    if (k > 1)
        x = with_border(g, with_border(g, x, 1, call.border), 2, call.border);
    Tensor sum = nullptr;
    for (int tap = 0; tap < k * k * k; ++tap) {
        Tensor w = ggml_view_2d(ctx, call.weight, call.weight->ne[0], call.weight->ne[1],
                                call.weight->nb[1], static_cast<size_t>(tap) * call.weight->nb[2]);
        if (w->type == GGML_TYPE_F16 && g.device().is_cpu()) // else it rounds activations to F16
            w = ggml_cast(ctx, w, GGML_TYPE_F32);
        Tensor y = ggml_mul_mat(ctx, w, sampled(g, x, call, tap % k, tap / k % k, tap / (k * k)));
        ggml_mul_mat_set_prec(y, GGML_PREC_F32);
        sum = sum ? ggml_add(ctx, sum, y) : y;
    }
    sum = ggml_add(ctx, sum, call.bias);
    if (!call.skip)
        return sum;
    const Tensor skip = join(g, call.skip_past, call.skip, 3);
    return ggml_add(ctx, sum, frames_of(g, skip, call.skip_first, call.out_frames()));
}

Tensor convolve(Graph & g, const Conv3dCall & call) {
    if (!g.device().own_kernels())
        return convolve_plain(g, call);
    Conv3dCall own = call;
    own.direct = g.device().exact();
    own.scratch = &g.device().scratch();
    std::shared_ptr<kernels::Conv3dPlan> plan = kernels::conv3d(g.ctx(), own, g.device().threads());
    g.hold(plan);
    return plan->out;
}

Tensor pixel_norm_silu(Graph & g, Tensor past, Tensor x) {
    if (g.device().own_kernels())
        return kernels::pixel_norm_silu(g.ctx(), past, x);
    return ggml_silu(g.ctx(), ggml_rms_norm(g.ctx(), join(g, past, x, 3), 1e-8f));
}

// [parts*c, width, height, frames] -> [c, width*space, height*space, frames*time]. Between the
// steps the axes stand for several: ggml has four.
static Tensor spread(Graph & g, Tensor x, int time, int space) {
    ggml_context * ctx = g.ctx();
    const int64_t w = x->ne[1], h = x->ne[2], n = x->ne[3];
    const int64_t parts = int64_t{time} * space * space, c = x->ne[0] / parts;
    const auto swapped = [&](Tensor t, int64_t a, int64_t b, int64_t d, int64_t e, bool first) {
        t = ggml_reshape_4d(ctx, t, a, b, d, e);
        return ggml_cont(ctx, first ? ggml_permute(ctx, t, 1, 0, 2, 3)
                                    : ggml_permute(ctx, t, 0, 2, 1, 3));
    };
    x = swapped(g.device().is_cpu() ? x : ggml_cont(ctx, x), parts, c, w * h, n, true);
    x = swapped(x, c * space, space * time, w, h * n, false); // columns beside their offset
    x = swapped(x, c * space * w * space, time, h, n, false); // rows too
    return ggml_reshape_4d(ctx, x, c, w * space, h * space, n * time);
}

Tensor depth_to_space(Graph & g, const Shuffle & what) {
    if (g.device().own_kernels()) {
        std::shared_ptr<Shuffle> call = kernels::depth_to_space(g.ctx(), what);
        g.hold(call);
        return call->out;
    }
    Tensor y = spread(g, what.x, what.time, what.space);
    if (what.skip) {
        Tensor skip = join(g, what.skip_past, what.skip, 3);
        skip = ggml_cont(g.ctx(), frames_of(g, skip, what.skip_first, what.x->ne[3]));
        skip = spread(g, skip, what.time, what.space);
        y = ggml_add(g.ctx(), y, ggml_repeat(g.ctx(), skip, y));
    }
    return what.drop ? ggml_cont(g.ctx(), frames_of(g, y, what.drop, y->ne[3] - what.drop)) : y;
}

// The inverse of `spread`.
static Tensor gathered(Graph & g, Tensor x, int time, int space) {
    ggml_context * ctx = g.ctx();
    const int64_t c = x->ne[0], w = x->ne[1] / space, h = x->ne[2] / space, n = x->ne[3] / time;
    const int64_t parts = int64_t{time} * space * space;
    const auto swapped = [&](Tensor t, int64_t a, int64_t b, int64_t d, int64_t e, bool first) {
        t = ggml_reshape_4d(ctx, t, a, b, d, e);
        return ggml_cont(ctx, first ? ggml_permute(ctx, t, 1, 0, 2, 3)
                                    : ggml_permute(ctx, t, 0, 2, 1, 3));
    };
    x = swapped(x, c * space * w * space, h, time, n, false);
    x = swapped(x, c * space, w, space * time, h * n, false);
    x = swapped(x, c, parts, w * h, n, true);
    return ggml_reshape_4d(ctx, x, c * parts, w, h, n);
}

Tensor space_to_depth(Graph & g, const Shuffle & what) {
    if (g.device().own_kernels()) {
        std::shared_ptr<Shuffle> call = kernels::space_to_depth(g.ctx(), what);
        g.hold(call);
        return call->out;
    }
    ggml_context * ctx = g.ctx();
    Tensor y = gathered(g, what.x, what.time, what.space);
    if (!what.skip)
        return y;
    Tensor skip = gathered(g, ggml_cont(ctx, what.skip), what.time, what.space);
    const int64_t group = skip->ne[0] / y->ne[0];
    skip = ggml_reshape_2d(ctx, skip, group, ggml_nelements(y));
    return ggml_add(ctx, y, ggml_reshape(ctx, ggml_mean(ctx, skip), y));
}

Tensor whole_norm(Graph & g, Tensor x, Tensor weight, Tensor bias, float eps) {
    Tensor row = ggml_reshape_1d(g.ctx(), ggml_cont(g.ctx(), x), ggml_nelements(x));
    Tensor y = ggml_reshape(g.ctx(), ggml_norm(g.ctx(), row, eps), x);
    return ggml_add(g.ctx(), ggml_mul(g.ctx(), y, weight), bias);
}

} // namespace ltx2
