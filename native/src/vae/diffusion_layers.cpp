#include "vae/diffusion_layers.h"

#include <algorithm>

namespace ltx2 {

static constexpr float eps = DiffusionLayers::eps;
static constexpr int64_t rows_at_once = 4096; // of a product, where a frame has fewer

static Tensor vector_of(const Weights & w, const char * name, int64_t n) {
    return w(name, {n}, As::f32);
}

static Tensor gate_of(const Weights & w, const char * name, int64_t n) {
    return w.find(name) ? vector_of(w, name, n) : nullptr;
}

WindowBlock::WindowBlock(const Weights & w, const DiffusionStage & stage, int64_t head_dim,
                         bool denoises)
    : norm1(vector_of(w / "norm1", "weight", stage.width)),
      norm2(vector_of(w / "norm2", "weight", stage.width)),
      qkv(w / "attn.qkv", stage.width, 3 * stage.width),
      q_norm(vector_of(w / "attn.q_norm", "weight", head_dim)),
      k_norm(vector_of(w / "attn.k_norm", "weight", head_dim)),
      proj(w / "attn.proj", stage.width, stage.width),
      w_gate(w / "mlp.w_gate", stage.width, w.shape("mlp.w_gate.weight", 2)[0], false),
      w_up(w / "mlp.w_up", stage.width, w_gate.weight.n(), false),
      w_down(w / "mlp.w_down", w_gate.weight.n(), stage.width, false) {
    if (!denoises)
        return;
    context_proj.emplace(w / "context_proj", stage.width, stage.width);
    scale_shift_table = w("scale_shift_table", {stage.width, 7}, As::f32);
    gate_ctx = gate_of(w, "gate_ctx", stage.width);
    gate_msa = gate_of(w, "gate_msa", stage.width);
    gate_mlp = gate_of(w, "gate_mlp", stage.width);
}

Volume DiffusionLayers::make(int64_t width, int64_t columns, int64_t rows, int64_t frames) const {
    return {device_.keep(GGML_TYPE_F32, {width, columns, rows, frames})};
}

int64_t DiffusionLayers::at_once(const Volume & x) const {
    return std::max<int64_t>(1, rows_at_once / x.cells());
}

// The cells of some frames, [width, cells * count].
static Tensor cells_of(Graph & g, Tensor x, int64_t first, int64_t count) {
    return ggml_view_2d(g.ctx(), x, x->ne[0], x->ne[1] * x->ne[2] * count, x->nb[1],
                        static_cast<size_t>(first) * x->nb[3]);
}

// Where the value is not computed in its place, it is copied there.
static void put(Graph & g, Tensor value, Tensor place) {
    if (value->view_src == place->view_src && value->view_offs == place->view_offs)
        g.compute(value);
    else
        g.keep(value, place);
}

void DiffusionLayers::fill(const Volume & x, int64_t in, const Linear & layer,
                           const Source & from) const {
    const int64_t most = at_once(x);
    for (int64_t first = 0; first < x.frames(); first += most) {
        const int64_t count = std::min(most, x.frames() - first);
        const std::vector<float> values = from(first, count);
        Graph g(device_, progress_);
        g.named("conv_in");
        const Tensor rows = g.input(GGML_TYPE_F32, {in, x.cells() * count, 1, 1}, values.data());
        g.keep(layer(g, rows), cells_of(g, x.values.tensor, first, count));
        g.run();
    }
}

// norm(x) times its weight; modulated by two rows of the block's and the timestep's table.
static Tensor normed(Graph & g, Tensor x, Tensor weight, const WindowBlock & block,
                     const DiffusionLayers::Shown * shown, size_t row) {
    NormCall call{x, Norm::rms, eps, {weight}};
    if (shown) {
        Tensor table = add(g, shown->modulation, block.scale_shift_table);
        const auto row_of = [&](size_t i) {
            return ggml_view_1d(g.ctx(), table, table->ne[0], i * table->nb[1]);
        };
        call.scale = {mul(g, ggml_scale_bias(g.ctx(), row_of(row), 1.0f, 1.0f), weight)};
        call.shift = {ggml_cont(g.ctx(), row_of(row + 1))};
    }
    return g.ops().norm(g, call);
}

void DiffusionLayers::take(const WindowBlock & block, const WindowCall & call, Tensor x,
                           int64_t first, int64_t count, const Shown * shown) const {
    Graph g(device_, progress_);
    g.named("window inputs");
    Tensor rows = cells_of(g, x, first, count);
    if (shown) {
        const Tensor context = cells_of(g, shown->context, first, count);
        const Tensor place = rows;
        rows = add_gated(g, rows, (*block.context_proj)(g, context), {block.gate_ctx});
        put(g, rows, place);
    }
    const Tensor seen = normed(g, rows, block.norm1, block, shown, 0);
    g.compute(g.ops().window_keep(g, call, block.qkv(g, seen), first));
    g.run();
}

void DiffusionLayers::give(const WindowBlock & block, const WindowCall & call, Tensor x,
                           int64_t first, int64_t count, const Shown * shown) const {
    Graph g(device_, progress_);
    g.named("window block");
    const Tensor place = cells_of(g, x, first, count);
    Tensor seen = g.ops().window_attention(g, call, call.ring, first, count);
    Tensor rows = add_gated(g, place, block.proj(g, seen), {block.gate_msa});
    seen = normed(g, rows, block.norm2, block, shown, 3);
    seen = ggml_swiglu_split(g.ctx(), block.w_gate(g, seen), block.w_up(g, seen));
    rows = add_gated(g, rows, block.w_down(g, seen), {block.gate_mlp});
    put(g, rows, place);
    g.run();
}

// A frame's keys come into the ring before the video itself is changed there.
void DiffusionLayers::pass(const WindowBlock & block, const int (&window)[3], const Volume & x,
                           const Shown * shown) const {
    const Tensor values = x.values.tensor;
    WindowCall call;
    call.frames = x.frames(), call.height = values->ne[2], call.width = values->ne[1];
    for (int axis = 0; axis < 3; ++axis)
        call.window[axis] = static_cast<int>(std::min<int64_t>(window[axis], values->ne[3 - axis]));
    call.copied = shown && shown->copied;
    if (call.copied)
        call.window[2] = window[2]; // copies are as many as it sees
    call.heads = values->ne[0] / head_dim_, call.head_dim = head_dim_;
    call.q_norm = block.q_norm, call.k_norm = block.k_norm;
    call.eps = eps;
    const int64_t most = at_once(x), frames = x.frames();
    const Kept ring =
        device_.keep(GGML_TYPE_F32, call.ring_shape(std::min(frames, call.window[0] - 1 + most)));
    call.ring = ring.tensor;
    int64_t next = 0;
    for (int64_t first = 0; first < frames; first += most) {
        const int64_t seen = std::min(frames, first + most);
        take(block, call, values, first, seen - first, shown);
        while (next < frames && call.first_seen(next) + call.window[0] <= seen) {
            int64_t count = 1;
            while (count < most && next + count < frames &&
                   call.first_seen(next + count) + call.window[0] <= seen)
                ++count;
            give(block, call, values, next, count, shown);
            next += count;
        }
    }
}

Volume DiffusionLayers::enlarge(const Linear & proj, const DiffusionStage & stage, const Volume & x,
                                int64_t frames, bool drop) const {
    const Tensor values = x.values.tensor;
    const int64_t dropped = drop && stage.time == 2 ? 1 : 0;
    const int64_t columns = values->ne[1], rows = values->ne[2], most = at_once(x);
    Volume out =
        make(stage.out, columns * stage.space, rows * stage.space, frames * stage.time - dropped);
    for (int64_t first = 0, given = 0; first < frames; first += most) {
        const int64_t count = std::min(most, frames - first);
        Graph g(device_, progress_);
        g.named("upsample");
        ShuffleCall call;
        call.x = proj(g, cells_of(g, values, first, count));
        call.x = ggml_reshape_4d(g.ctx(), call.x, call.x->ne[0], columns, rows, count);
        call.time = stage.time, call.space = stage.space;
        call.drop = first ? 0 : static_cast<int>(dropped);
        const Tensor more = g.ops().depth_to_space(g, call);
        g.keep(more, frames_of(g, out.values.tensor, given, more->ne[3]));
        given += more->ne[3];
        g.run();
    }
    return out;
}

void DiffusionLayers::read(const Volume & x, const RmsNorm & norm, const Linear & layer,
                           const Sink & to) const {
    const int64_t most = at_once(x);
    std::vector<float> values;
    for (int64_t first = 0; first < x.frames(); first += most) {
        const int64_t count = std::min(most, x.frames() - first);
        Graph g(device_, progress_);
        g.named("conv_out");
        const Tensor out = layer(g, norm(g, cells_of(g, x.values.tensor, first, count)));
        values.resize(static_cast<size_t>(ggml_nelements(out)));
        g.output(out, values.data());
        g.run();
        to(values, first, count);
    }
}

void DiffusionLayers::tap(const std::string & name, const Volume & x) const {
    if (!device_.tap)
        return;
    Graph g(device_, progress_);
    g.tap(name, x.values.tensor);
    g.run();
}

} // namespace ltx2
