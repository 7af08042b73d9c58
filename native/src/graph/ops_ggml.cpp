// ggml's own operations, for its CPU backend and for GPUs: what differs ends in _cpu, _gpu and
// _cuda.
#include "graph/ops.h"
#include "kernels/cpu_ops.h"

#include <algorithm>
#include <cmath>

namespace ltx2 {

Tensor frames_of(Nodes & g, Tensor x, int64_t first, int64_t count) {
    return ggml_view_4d(g.ctx(), x, x->ne[0], x->ne[1], x->ne[2], count, x->nb[1], x->nb[2],
                        x->nb[3], static_cast<size_t>(first) * x->nb[3]);
}

Tensor gate_heads(Nodes & g, Tensor x, Tensor logits) {
    const int64_t heads = logits->ne[0];
    Tensor gate = ggml_scale(g.ctx(), ggml_sigmoid(g.ctx(), logits), 2.0f);
    gate = ggml_reshape_3d(g.ctx(), gate, 1, heads, x->ne[1]);
    Tensor split = ggml_reshape_3d(g.ctx(), x, x->ne[0] / heads, heads, x->ne[1]);
    return ggml_reshape_2d(g.ctx(), mul(g, split, gate), x->ne[0], x->ne[1]);
}

// ---- rows

// [width, 1] where all tokens share it, else [width, tokens]
static Tensor rows_of(Nodes & g, const TokenRow & r) {
    Tensor rows = ggml_view_2d(g.ctx(), r.table, r.table->ne[0], r.index ? r.table->ne[2] : 1,
                               r.table->nb[2], static_cast<size_t>(r.row) * r.table->nb[1]);
    return r.index ? ggml_get_rows(g.ctx(), ggml_cont(g.ctx(), rows), r.index) : rows;
}

// The same of a table to which 1 is added first, which costs little: it has few rows.
static Tensor rows_plus_one(Nodes & g, TokenRow r) {
    r.table = ggml_scale_bias(g.ctx(), r.table, 1.0f, 1.0f);
    return rows_of(g, r);
}

// GPU backends make one pass of a norm and the product that follows.
static Tensor norm(Nodes & g, const NormCall & call) {
    Tensor y = call.norm == Norm::rms     ? ggml_rms_norm(g.ctx(), call.x, call.eps)
               : call.norm == Norm::layer ? ggml_norm(g.ctx(), call.x, call.eps)
                                          : call.x;
    if (call.scale.table)
        y = mul(g, y, call.one_plus_scale ? rows_plus_one(g, call.scale) : rows_of(g, call.scale));
    if (call.shift.table)
        y = add(g, y, rows_of(g, call.shift));
    return call.into ? add(g, call.into, y) : y;
}

static Tensor add_gated(Nodes & g, Tensor x, Tensor branch, const TokenRow & gate) {
    return add(g, x, gate.table ? mul(g, branch, rows_of(g, gate)) : branch);
}

static Tensor gelu_gpu(Nodes & g, Tensor x, Tensor factor) {
    Tensor y = ggml_gelu(g.ctx(), x);
    return factor ? mul(g, y, factor) : y;
}
static Tensor gelu_cpu(Nodes & g, Tensor x, Tensor factor) {
    return (g.exact() ? cpu_ops.gelu : gelu_gpu)(g, x, factor); // ggml's is right to three digits
}

// ---- matrix products

// F32: not with sums of 16 bits.
static Tensor product(Nodes & g, Tensor weight, Tensor x, ggml_prec precision = GGML_PREC_F32) {
    Tensor y = ggml_mul_mat(g.ctx(), weight, x);
    ggml_mul_mat_set_prec(y, precision);
    return y;
}

static Tensor with_bias(Nodes & g, const MatmulCall & call, Tensor y) {
    return call.bias ? add(g, y, call.bias) : y;
}

// ggml rounds activations to 8 bits for quantised weights, to 16 for F16.
static Tensor matmul_cpu(Nodes & g, const MatmulCall & call) {
    const bool widen = call.activations != Activations::bits8 && !call.weight.is_f32();
    Tensor weight = call.weight.tensor;
    weight = widen ? ggml_cast(g.ctx(), weight, GGML_TYPE_F32) : weight;
    Tensor y = with_bias(g, call, product(g, weight, call.x));
    return call.gelu ? gelu_cpu(g, y, nullptr) : y;
}

// GPUs multiply in F16, and activations that may not be rounded to 8 bits may exceed its largest
// value, 65504. Scaling by a power of two before and after the product loses no digit.
static Tensor matmul_gpu(Nodes & g, const MatmulCall & call) {
    const bool large = call.activations != Activations::bits8;
    const float factor = 64;
    Tensor y =
        product(g, call.weight.tensor, large ? ggml_scale(g.ctx(), call.x, 1 / factor) : call.x);
    y = with_bias(g, call, large ? ggml_scale(g.ctx(), y, factor) : y);
    return call.gelu ? gelu_gpu(g, y, nullptr) : y;
}

// CUDA's backend keeps activations as they are where F32 is asked for, else rounds them to 16 bits,
// or to 8 for quantised weights; sums have F32 in any case (cmake/patches/ggml_cuda.cu).
static Tensor matmul_cuda(Nodes & g, const MatmulCall & call) {
    const bool rounds = call.activations == Activations::bits8 && !g.exact();
    Tensor y = product(g, call.weight.tensor, call.x, rounds ? GGML_PREC_DEFAULT : GGML_PREC_F32);
    y = with_bias(g, call, y);
    return call.gelu ? gelu_gpu(g, y, nullptr) : y;
}

// ---- attention

static Tensor with_norm(Nodes & g, Tensor x, Tensor weight, float eps) {
    return mul(g, ggml_rms_norm(g.ctx(), x, eps), weight);
}

// x [head_dim, heads, tokens]
static Tensor rotate(Nodes & g, Tensor x, Tensor cos, Tensor sin) {
    const int64_t half = x->ne[0] / 2;
    const auto part = [&](int64_t first) {
        return ggml_view_3d(g.ctx(), x, half, x->ne[1], x->ne[2], x->nb[1], x->nb[2],
                            static_cast<size_t>(first) * x->nb[0]);
    };
    Tensor a = part(0), b = part(half);
    Tensor rotated_a = ggml_sub(g.ctx(), mul(g, a, cos), mul(g, b, sin));
    Tensor rotated_b = add(g, mul(g, b, cos), mul(g, a, sin));
    return ggml_concat(g.ctx(), rotated_a, rotated_b, 0);
}

// Added to the scores: F16 [keys, tokens], or null where all is seen.
static Tensor mask_of(Nodes & g, const AttentionCall & call) {
    if (!call.window && call.groups.empty())
        return nullptr;
    const int64_t keys = call.keys(), tokens = call.tokens();
    auto mask = std::make_shared<std::vector<ggml_fp16_t>>(static_cast<size_t>(keys * tokens),
                                                           ggml_fp32_to_fp16(-INFINITY));
    const auto fill = [&](int64_t row, int64_t first, int64_t end, float value) {
        std::fill(mask->begin() + row * keys + first, mask->begin() + row * keys + end,
                  ggml_fp32_to_fp16(value));
    };
    for (int64_t i = 0; call.window && i < tokens; ++i)
        fill(i, std::max<int64_t>(0, i - call.window + 1), i + 1, 0);
    const int64_t main = call.groups.empty() ? 0 : call.groups[0].tokens;
    int64_t first = 0;
    for (const TokenGroup & group : call.groups) {
        const float bias = std::log(group.share);
        for (int64_t i = 0; i < main; ++i)
            fill(i, first, first + group.tokens, bias);
        for (int64_t i = first; i < first + group.tokens; ++i) {
            fill(i, 0, main, bias);
            fill(i, first, first + group.tokens, 0);
        }
        first += group.tokens;
    }
    g.hold(mask);
    return g.input(GGML_TYPE_F16, {keys, tokens, 1, 1}, mask->data());
}

Tensor ready_heads(Nodes & g, Tensor x, int64_t head_dim, Tensor norm, float eps,
                   const Rotary & rotary) {
    const bool whole = norm && norm->ne[0] == x->ne[0];
    if (whole)
        x = with_norm(g, x, norm, eps);
    x = ggml_reshape_3d(g.ctx(), x, head_dim, x->ne[0] / head_dim, x->ne[1]);
    if (norm && !whole)
        x = with_norm(g, x, norm, eps);
    return rotary.cos ? rotate(g, x, rotary.cos, rotary.sin) : x;
}

// t [head_dim, heads, tokens], with zeros behind each head's values.
static Tensor widened(Nodes & g, Tensor t, int64_t head_dim) {
    if (t->ne[0] >= head_dim)
        return t;
    const int64_t ne[] = {head_dim - t->ne[0], t->ne[1], t->ne[2]};
    Tensor zeros = ggml_fill(g.ctx(), ggml_new_tensor(g.ctx(), t->type, 3, ne), 0.0f);
    return ggml_concat(g.ctx(), t, zeros, 0);
}

// Of heads of more values than the kernels of all backends have, which are Gemma 4's: all scores at
// once, 16 million of a text of 1024 tokens. q, k and v [head_dim, tokens, heads].
static Tensor attend_at_once(Nodes & g, const AttentionCall & call, Tensor q, Tensor k, Tensor v) {
    Tensor scores = product(g, ggml_cont(g.ctx(), k), ggml_cont(g.ctx(), q));
    scores = ggml_soft_max_ext(g.ctx(), scores, mask_of(g, call), call.scale, 0.0f);
    Tensor out = product(g, ggml_cont(g.ctx(), ggml_permute(g.ctx(), v, 1, 0, 2, 3)), scores);
    return ggml_cont(g.ctx(), ggml_permute(g.ctx(), out, 0, 2, 1, 3));
}

Tensor attend(Nodes & g, const AttentionCall & call, Tensor q, Tensor k, Tensor v, ggml_type kv,
              int64_t width) {
    const auto heads_outside = [&](Tensor t) {
        return ggml_permute(g.ctx(), widened(g, t, width), 0, 2, 1, 3);
    };
    const auto stored = [&](Tensor t) { return t->type == kv ? t : ggml_cast(g.ctx(), t, kv); };
    q = heads_outside(q), k = stored(heads_outside(k)), v = stored(heads_outside(v));
    Tensor out;
    if (call.head_dim > 256) {
        out = attend_at_once(g, call, q, k, v);
    } else {
        out = ggml_flash_attn_ext(g.ctx(), q, k, v, mask_of(g, call), call.scale, 0.0f, 0.0f);
        ggml_flash_attn_ext_set_prec(out, GGML_PREC_F32);
    }
    if (out->ne[0] > call.head_dim)
        out = ggml_cont(g.ctx(), ggml_view_3d(g.ctx(), out, call.head_dim, out->ne[1], out->ne[2],
                                              out->nb[1], out->nb[2], 0));
    return ggml_reshape_2d(g.ctx(), out, out->ne[0] * out->ne[1], out->ne[2]);
}

static Tensor attention(Nodes & g, const AttentionCall & call, ggml_type kv, int64_t width = 0) {
    const auto prepared = [&](Tensor t, Tensor norm, const Rotary & rotary) {
        return ready_heads(g, t, call.head_dim, norm, call.eps, rotary);
    };
    Tensor out = attend(g, call, prepared(call.q, call.q_norm, call.q_rotary),
                        prepared(call.k, call.k_norm, call.k_rotary), prepared(call.v, nullptr, {}),
                        kv, width);
    return call.gate ? gate_heads(g, out, call.gate) : out;
}

static Tensor attention_cpu(Nodes & g, const AttentionCall & call) {
    return attention(g, call, GGML_TYPE_F32);
}
static Tensor attention_gpu(Nodes & g, const AttentionCall & call) { // their kernels want 16 bits
    return attention(g, call, GGML_TYPE_F16);
}
int64_t cuda_head_dim(int64_t head_dim) {
    for (const int64_t size : {64, 128, 256}) // of those that it has kernels for
        if (head_dim <= size)
            return size;
    return head_dim;
}
static Tensor attention_cuda(Nodes & g, const AttentionCall & call) {
    return attention(g, call, GGML_TYPE_F16, cuda_head_dim(call.head_dim));
}

// ---- frames

static Tensor join(Nodes & g, Tensor a, Tensor b, int axis) {
    return a ? ggml_concat(g.ctx(), a, b, axis) : b;
}

// `count` positions of an axis (1: columns, 2: rows) from `first`.
static Tensor part(Nodes & g, Tensor x, int axis, int64_t first, int64_t count) {
    Shape ne = shape_of(x);
    ne[axis] = count;
    return ggml_view_4d(g.ctx(), x, ne[0], ne[1], ne[2], ne[3], x->nb[1], x->nb[2], x->nb[3],
                        static_cast<size_t>(first) * x->nb[axis]);
}

// One more position at both ends of an axis; with a shift, two at the low end or at the high one.
// Zeros are joined: Metal pads at the high end only.
static Tensor with_border(Nodes & g, Tensor x, int axis, Border border, int shift) {
    const int64_t n = x->ne[axis];
    const int64_t low = border == Border::reflect ? 1 : border == Border::replicate ? 0 : n - 1;
    Tensor front, back;
    if (border == Border::zeros) {
        Shape ne = shape_of(x);
        ne[axis] = 1;
        front = back =
            ggml_fill(g.ctx(), ggml_new_tensor(g.ctx(), GGML_TYPE_F32, 4, ne.data()), 0.0f);
    } else {
        front = ggml_cont(g.ctx(), part(g, x, axis, low, 1));
        back = ggml_cont(g.ctx(), part(g, x, axis, n - 1 - low, 1));
    }
    for (int i = 0; i < 1 + shift; ++i)
        x = join(g, front, x, axis);
    for (int i = 0; i < 1 - shift; ++i)
        x = join(g, x, back, axis);
    return x;
}

static Tensor with_copies(Nodes & g, Tensor x, int before, int after) {
    const Tensor first = frames_of(g, x, 0, 1), last = frames_of(g, x, x->ne[3] - 1, 1);
    for (int i = 0; i < before; ++i)
        x = join(g, first, x, 3);
    for (int i = 0; i < after; ++i)
        x = join(g, x, last, 3);
    return x;
}

// Every `stride`-th position of columns, rows and frames, from (x, y, t), in memory of its own.
static Tensor sampled(Nodes & g, Tensor a, const Conv3dCall & call, int64_t x, int64_t y,
                      int64_t t) {
    const size_t space = static_cast<size_t>(call.stride_space);
    const size_t offset = static_cast<size_t>(x) * a->nb[1] + static_cast<size_t>(y) * a->nb[2] +
                          static_cast<size_t>(t) * a->nb[3];
    Tensor view = ggml_view_4d(g.ctx(), a, a->ne[0], call.out_width(), call.out_height(),
                               call.out_frames(), a->nb[1] * space, a->nb[2] * space,
                               a->nb[3] * static_cast<size_t>(call.stride_time), offset);
    return ggml_cont(g.ctx(), view);
}

// The tap of a kernel, [in, out].
static Tensor tap_of(Nodes & g, const Conv3dCall & call, int tap, bool widen) {
    const Tensor all = call.weight;
    Tensor w = ggml_view_2d(g.ctx(), all, all->ne[0], all->ne[1], all->nb[1],
                            static_cast<size_t>(tap) * all->nb[2]);
    return widen && w->type != GGML_TYPE_F32 ? ggml_cast(g.ctx(), w, GGML_TYPE_F32) : w;
}

static ggml_prec precision_for(Tensor x) {
    return x->type == GGML_TYPE_F16 ? GGML_PREC_DEFAULT : GGML_PREC_F32;
}

// A sum over the kernel's taps, each one product of all positions of the shifted input.
static Tensor sum_of_taps(Nodes & g, const Conv3dCall & call, Tensor x, bool widen) {
    const int k = call.kernel;
    Tensor sum = nullptr;
    for (int tap = 0; tap < call.taps(); ++tap) {
        Tensor seen = sampled(g, x, call, tap % k, tap / k % k, tap / (k * k));
        seen = ggml_reshape_2d(g.ctx(), seen, seen->ne[0], ggml_nelements(seen) / seen->ne[0]);
        Tensor y = product(g, tap_of(g, call, tap, widen), seen, precision_for(seen));
        sum = sum ? add(g, sum, y) : y;
    }
    return ggml_reshape_4d(g.ctx(), sum, sum->ne[0], call.out_width(), call.out_height(),
                           call.out_frames());
}

// The same without copies: in x with its border, a shift by columns, rows and frames is one offset
// in memory, and the products at the border are not looked at.
static Tensor sum_of_offsets(Nodes & g, const Conv3dCall & call, Tensor x) {
    const int64_t width = x->ne[1], frame = width * x->ne[2];
    const int64_t positions =
        (call.out_frames() - 1) * frame + (call.out_height() - 1) * width + call.out_width();
    Tensor sum = nullptr;
    for (int tap = 0; tap < call.taps(); ++tap) {
        const int64_t first = tap / 9 * frame + tap / 3 % 3 * width + tap % 3;
        Tensor seen = ggml_view_2d(g.ctx(), x, x->ne[0], positions, x->nb[1],
                                   static_cast<size_t>(first) * x->nb[1]);
        Tensor y = product(g, tap_of(g, call, tap, false), seen, precision_for(seen));
        sum = sum ? add(g, sum, y) : y;
    }
    const size_t row = sum->nb[1];
    return ggml_view_4d(g.ctx(), sum, sum->ne[0], call.out_width(), call.out_height(),
                        call.out_frames(), row, row * static_cast<size_t>(width),
                        row * static_cast<size_t>(frame), 0);
}

static Tensor with_frames_and_border(Nodes & g, const Conv3dCall & call) {
    Tensor x = with_copies(g, join(g, call.past, call.x, 3), call.before, call.after);
    if (call.kernel == 1)
        return x;
    return with_border(g, with_border(g, x, 1, call.border, call.left), 2, call.border, call.up);
}

static Tensor with_bias_and_skip(Nodes & g, const Conv3dCall & call, Tensor sum) {
    sum = add(g, sum, call.bias);
    if (!call.skip)
        return sum;
    const Tensor skip = join(g, call.skip_past, call.skip, 3);
    return add(g, sum, frames_of(g, skip, call.skip_first, call.out_frames()));
}

static Tensor convolve_cpu(Nodes & g, const Conv3dCall & call) { // widened, else x is rounded
    const Tensor x = with_frames_and_border(g, call);
    return with_bias_and_skip(g, call, sum_of_taps(g, call, x, /*widen=*/true));
}

// The root of the mean square of all values, one value. Two steps, since a backend gives a row of
// values to few of its processors.
static Tensor magnitude(Nodes & g, Tensor x) {
    Tensor means = ggml_mean(g.ctx(), ggml_sqr(g.ctx(), x));
    means = ggml_reshape_1d(g.ctx(), means, ggml_nelements(means));
    // of nothing but zeros, a number that may divide
    return ggml_sqrt(g.ctx(), ggml_scale_bias(g.ctx(), ggml_mean(g.ctx(), means), 1.0f, 1e-12f));
}

// GPUs multiply in F16, whose largest value is 65504: what no norm keeps small is divided by its
// magnitude before.
static Tensor convolve(Nodes & g, const Conv3dCall & call, bool rounds) {
    constexpr int64_t aligned = 256; // the most that a device asks of an offset in memory
    Tensor x = with_frames_and_border(g, call);
    const Tensor size = call.normed ? nullptr : magnitude(g, x);
    if (size)
        x = ggml_div(g.ctx(), x, size);
    if (rounds && call.weight->type == GGML_TYPE_F16)
        x = ggml_cast(g.ctx(), x, GGML_TYPE_F16);
    const bool offsets = call.kernel == 3 && call.stride_time == 1 && call.stride_space == 1 &&
                         static_cast<int64_t>(x->nb[1]) % aligned == 0;
    Tensor sum = offsets ? sum_of_offsets(g, call, x) : sum_of_taps(g, call, x, false);
    if (size)
        sum = mul(g, sum, size);
    return with_bias_and_skip(g, call, sum);
}

static Tensor convolve_gpu(Nodes & g, const Conv3dCall & call) { return convolve(g, call, false); }
// CUDA's backend would round x for each product anew.
static Tensor convolve_cuda(Nodes & g, const Conv3dCall & call) { return convolve(g, call, true); }

static Tensor pixel_norm_silu(Nodes & g, Tensor past, Tensor x, float eps) {
    return ggml_silu(g.ctx(), ggml_rms_norm(g.ctx(), join(g, past, x, 3), eps));
}

// x as `ne`, where an axis may stand for several, since ggml has four; then the first two of them
// change places, or the second and the third.
static Tensor swapped(Nodes & g, Tensor x, bool first, Shape ne) {
    x = ggml_reshape_4d(g.ctx(), x, ne[0], ne[1], ne[2], ne[3]);
    return ggml_cont(g.ctx(), first ? ggml_permute(g.ctx(), x, 1, 0, 2, 3)
                                    : ggml_permute(g.ctx(), x, 0, 2, 1, 3));
}

// [parts*c, width, height, frames] -> [c, width*space, height*space, frames*time].
static Tensor spread(Nodes & g, Tensor x, int time, int space) {
    const int64_t w = x->ne[1], h = x->ne[2], n = x->ne[3];
    const int64_t parts = int64_t{time} * space * space, c = x->ne[0] / parts;
    x = swapped(g, x, true, {parts, c, w * h, n});
    x = swapped(g, x, false, {c * space, space * time, w, h * n}); // columns next to their offset
    x = swapped(g, x, false, {c * space * w * space, time, h, n}); // rows too
    return ggml_reshape_4d(g.ctx(), x, c, w * space, h * space, n * time);
}

static Tensor depth_to_space_cpu(Nodes & g, const ShuffleCall & call) {
    Tensor y = spread(g, call.x, call.time, call.space);
    if (call.skip) {
        Tensor skip = join(g, call.skip_past, call.skip, 3);
        skip = ggml_cont(g.ctx(), frames_of(g, skip, call.skip_first, call.x->ne[3]));
        skip = spread(g, skip, call.time, call.space);
        y = add(g, y, ggml_repeat(g.ctx(), skip, y));
    }
    return call.drop ? ggml_cont(g.ctx(), frames_of(g, y, call.drop, y->ne[3] - call.drop)) : y;
}

static Tensor depth_to_space_gpu(Nodes & g, const ShuffleCall & call) {
    ShuffleCall copied = call;
    copied.x = ggml_cont(g.ctx(), call.x);
    return depth_to_space_cpu(g, copied);
}

// The inverse of `spread`.
static Tensor gathered(Nodes & g, Tensor x, int time, int space) {
    const int64_t c = x->ne[0], w = x->ne[1] / space, h = x->ne[2] / space, n = x->ne[3] / time;
    const int64_t parts = int64_t{time} * space * space;
    x = swapped(g, x, false, {c * space * w * space, h, time, n});
    x = swapped(g, x, false, {c * space, w, space * time, h * n});
    x = swapped(g, x, true, {c, parts, w * h, n});
    return ggml_reshape_4d(g.ctx(), x, c * parts, w, h, n);
}

static Tensor space_to_depth(Nodes & g, const ShuffleCall & call) {
    Tensor y = gathered(g, call.x, call.time, call.space);
    if (!call.skip)
        return y;
    Tensor skip = gathered(g, ggml_cont(g.ctx(), call.skip), call.time, call.space);
    const int64_t group = skip->ne[0] / y->ne[0];
    skip = ggml_reshape_2d(g.ctx(), skip, group, ggml_nelements(y));
    return add(g, y, ggml_reshape(g.ctx(), ggml_mean(g.ctx(), skip), y));
}

// No pack; activations are rounded to the weights' type; codes are not read.
const Ops ggml_cpu_ops = {matmul_cpu,
                          attention_cpu,
                          norm,
                          add_gated,
                          gelu_cpu,
                          convolve_cpu,
                          kernels::convolve_1d,
                          kernels::snake,
                          kernels::window_keep,
                          kernels::window_attention,
                          pixel_norm_silu,
                          depth_to_space_cpu,
                          space_to_depth,
                          nullptr,
                          true,
                          false};

const Ops ggml_cuda_ops = {matmul_cuda,
                           attention_cuda,
                           norm,
                           add_gated,
                           gelu_gpu,
                           convolve_cuda,
                           kernels::convolve_1d,
                           kernels::snake,
                           kernels::window_keep,
                           kernels::window_attention,
                           pixel_norm_silu,
                           depth_to_space_gpu,
                           space_to_depth,
                           nullptr,
                           true,
                           false};

const Ops ggml_gpu_ops = {matmul_gpu,
                          attention_gpu,
                          norm,
                          add_gated,
                          gelu_gpu,
                          convolve_gpu,
                          kernels::convolve_1d,
                          kernels::snake,
                          kernels::window_keep,
                          kernels::window_attention,
                          pixel_norm_silu,
                          depth_to_space_gpu,
                          space_to_depth,
                          nullptr,
                          true,
                          false};

} // namespace ltx2
