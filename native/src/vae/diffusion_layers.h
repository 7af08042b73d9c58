// The layers of the decoder that denoises: their weights, named as the checkpoint names them, and
// how they pass over a video that lies in memory, a few frames at a time.
#pragma once

#include "graph/layers.h"
#include "vae/diffusion_config.h"

#include <optional>

namespace ltx2 {

// Attention over windows, and a gated feed-forward; in the stage that denoises, what is shown is
// added first, and the norms are modulated.
struct WindowBlock {
    Tensor norm1, norm2;
    Linear qkv;
    Tensor q_norm, k_norm;
    Linear proj, w_gate, w_up, w_down;
    std::optional<Linear> context_proj;
    Tensor scale_shift_table = nullptr;
    // Of what is added, for each channel; null: 1.
    Tensor gate_ctx = nullptr, gate_msa = nullptr, gate_mlp = nullptr;

    WindowBlock(const Weights & w, const DiffusionStage & stage, int64_t head_dim, bool denoises);
};

// A video on its way through the layers, [width, columns, rows, frames].
struct Volume {
    Kept values;
    int64_t frames() const { return values.tensor->ne[3]; }
    int64_t cells() const { return values.tensor->ne[1] * values.tensor->ne[2]; }
};

// Passes videos through layers, each of which changes the video in its place or makes another one.
class DiffusionLayers {
public:
    DiffusionLayers(Device & device, const Progress & progress, int64_t head_dim)
        : device_(device), progress_(progress), head_dim_(head_dim) {}

    Volume make(int64_t width, int64_t columns, int64_t rows, int64_t frames) const;
    // All frames of `x` that `from` gives: floats [count][cells][in] of the frames from `first` on.
    using Source = std::function<std::vector<float>(int64_t first, int64_t count)>;
    void fill(const Volume & x, int64_t in, const Linear & layer, const Source & from) const;
    struct Shown {                  // in the stage that denoises
        Tensor context, modulation; // of the size of x; [width, 7]
        bool copied;                // as WindowCall has it
    };
    void pass(const WindowBlock & block, const int (&window)[3], const Volume & x,
              const Shown * shown = nullptr) const;
    // Of the first `frames` of x; the first frame that they give is left out with `drop`.
    Volume enlarge(const Linear & proj, const DiffusionStage & stage, const Volume & x,
                   int64_t frames, bool drop) const;
    // What the last layer gives: floats [count][cells][out] of the frames from `first` on.
    using Sink =
        std::function<void(const std::vector<float> & values, int64_t first, int64_t count)>;
    void read(const Volume & x, const RmsNorm & norm, const Linear & layer, const Sink & to) const;
    void tap(const std::string & name, const Volume & x) const;

    static constexpr float eps = 1e-6f; // of every norm

private:
    int64_t at_once(const Volume & x) const; // frames
    void take(const WindowBlock & block, const WindowCall & call, Tensor x, int64_t first,
              int64_t count, const Shown * shown) const;
    void give(const WindowBlock & block, const WindowCall & call, Tensor x, int64_t first,
              int64_t count, const Shown * shown) const;

    Device & device_;
    const Progress & progress_;
    int64_t head_dim_;
};

} // namespace ltx2
