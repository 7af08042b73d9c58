// The operations of a device that counts: each is added to the tally, and its nodes are built by
// the operation that would compute them, which need the same memory.
#include "graph/graph.h"
#include "graph/tally.h"
#include "kernels/window.h"

#include <algorithm>

namespace ltx2 {

static Device & device_of(Nodes & g) { return static_cast<Graph &>(g).device(); }

static Tensor moved(Nodes & g, Tensor out, std::initializer_list<Tensor> read) {
    double bytes = static_cast<double>(ggml_nbytes(out));
    for (const Tensor tensor : read)
        bytes += tensor ? static_cast<double>(ggml_nbytes(tensor)) : 0;
    device_of(g).tally()->add({Work::move}, bytes);
    return out;
}

// Codes are multiplied as these types are.
static int type_of(const Matrix & weight) {
    if (!weight.coding)
        return weight.tensor->type;
    return weight.coding->is_whole() ? GGML_TYPE_Q8_0 : GGML_TYPE_BF16;
}

static Tensor matmul(Nodes & g, const MatmulCall & call) {
    Tally & tally = *device_of(g).tally();
    const double values = static_cast<double>(call.weight.k() * call.weight.n());
    const int type = type_of(call.weight);
    const int activations = static_cast<int>(g.exact() ? Activations::f32 : call.activations);
    tally.add({Work::unpack, type, activations}, values);
    tally.add({Work::multiply, type, activations}, values * static_cast<double>(call.x->ne[1]));
    return device_of(g).computing().matmul(g, call);
}

// Pairs of a query and a key that it sees.
static double pairs(const AttentionCall & call) {
    const double tokens = static_cast<double>(call.tokens());
    if (call.window == 0)
        return tokens * static_cast<double>(call.keys());
    const double window = static_cast<double>(std::min(call.window, call.tokens()));
    return tokens * window - window * (window - 1) / 2;
}

static Tensor attention(Nodes & g, const AttentionCall & call) {
    const int bf16 = call.bf16 && !g.exact();
    device_of(g).tally()->add({Work::attend, 0, bf16},
                              pairs(call) * static_cast<double>(call.q->ne[0]));
    return device_of(g).computing().attention(g, call);
}

static Tensor convolve(Nodes & g, const Conv3dCall & call) {
    const double outputs = static_cast<double>(call.out_width() * call.out_height()) *
                           static_cast<double>(call.out_frames());
    device_of(g).tally()->add({Work::convolve, call.weight->type, call.kernel},
                              static_cast<double>(ggml_nelements(call.weight)) * outputs);
    return device_of(g).computing().convolve(g, call);
}

// Its products are those of a convolution of one tap in F32; in tiles they take less.
static Tensor convolve_1d(Nodes & g, const Conv1dCall & call) {
    device_of(g).tally()->add({Work::convolve, GGML_TYPE_F32, 1},
                              static_cast<double>(ggml_nelements(call.weight)) *
                                  static_cast<double>(call.x->ne[1]));
    return device_of(g).computing().convolve_1d(g, call);
}
static Tensor snake(Nodes & g, const SnakeCall & call) {
    return moved(g, device_of(g).computing().snake(g, call), {call.x});
}

static Tensor window_keep(Nodes & g, const WindowCall & call, Tensor qkv, int64_t first) {
    Tensor ring = device_of(g).computing().window_keep(g, call, qkv, first);
    const double bytes = static_cast<double>(ggml_nbytes(qkv));
    device_of(g).tally()->add({Work::move}, 2 * bytes);
    return ring;
}
static Tensor window_attention(Nodes & g, const WindowCall & call, Tensor ring, int64_t first,
                               int64_t count) {
    Tensor out = device_of(g).computing().window_attention(g, call, ring, first, count);
    // A row of keys is computed in whole vectors for some neighbouring queries together.
    const double box = static_cast<double>(call.window[0]) * call.window[1] * kernels::window_strip;
    device_of(g).tally()->add({Work::attend, 0, 0}, box * static_cast<double>(ggml_nelements(out)));
    return out;
}

static Tensor norm(Nodes & g, const NormCall & call) {
    return moved(g, device_of(g).computing().norm(g, call), {call.x, call.into});
}
static Tensor add_gated(Nodes & g, Tensor x, Tensor branch, const TokenRow & gate) {
    return moved(g, device_of(g).computing().add_gated(g, x, branch, gate), {x, branch});
}
static Tensor gelu(Nodes & g, Tensor x, Tensor factor) {
    return moved(g, device_of(g).computing().gelu(g, x, factor), {x, factor});
}
static Tensor pixel_norm_silu(Nodes & g, Tensor past, Tensor x, float eps) {
    return moved(g, device_of(g).computing().pixel_norm_silu(g, past, x, eps), {past, x});
}
static Tensor depth_to_space(Nodes & g, const ShuffleCall & call) {
    return moved(g, device_of(g).computing().depth_to_space(g, call), {call.x, call.skip});
}
static Tensor space_to_depth(Nodes & g, const ShuffleCall & call) {
    return moved(g, device_of(g).computing().space_to_depth(g, call), {call.x, call.skip});
}

const Ops counted_ops = {matmul,
                         attention,
                         norm,
                         add_gated,
                         gelu,
                         convolve,
                         convolve_1d,
                         snake,
                         window_keep,
                         window_attention,
                         pixel_norm_silu,
                         depth_to_space,
                         space_to_depth,
                         /*pack=*/nullptr,
                         /*rounds_to_weights=*/false,
                         /*reads_codes=*/true};

} // namespace ltx2
