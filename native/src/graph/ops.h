// What a layer asks of a backend: one table of operations for each, chosen once, by the device. No
// layer asks which one runs.
#pragma once

#include "kernels/nodes.h"

namespace ltx2 {

// Values come in memory of their own unless said otherwise. F32, channels fastest; where nothing
// but products reads them, a backend may make them F16.
struct Ops {
    Tensor (*matmul)(Nodes & g, const MatmulCall & call);
    Tensor (*attention)(Nodes & g, const AttentionCall & call);
    Tensor (*norm)(Nodes & g, const NormCall & call);
    // x + branch * gate, or x + branch; may be written over x
    Tensor (*add_gated)(Nodes & g, Tensor x, Tensor branch, const TokenRow & gate);
    // gelu(x) * factor (null: 1), in the tanh form; may be written over x
    Tensor (*gelu)(Nodes & g, Tensor x, Tensor factor);
    Tensor (*convolve)(Nodes & g, const Conv3dCall & call);
    // Along time, for sound: on the processor, whatever computes the rest.
    Tensor (*convolve_1d)(Nodes & g, const Conv1dCall & call);
    Tensor (*snake)(Nodes & g, const SnakeCall & call);
    // Attention over a grid: qkv [3 * heads * head_dim, cells * frames] of the frames from `first`
    // on into the ring, which is given; and, of the ring as that gave it, [heads * head_dim,
    // cells * count] of the frames from `first` on. On the processor, whatever computes the rest.
    Tensor (*window_keep)(Nodes & g, const WindowCall & call, Tensor qkv, int64_t first);
    Tensor (*window_attention)(Nodes & g, const WindowCall & call, Tensor ring, int64_t first,
                               int64_t count);
    // silu(x / sqrt(mean of x^2 over channels + eps)), of the frames of `past` (or null) and x
    Tensor (*pixel_norm_silu)(Nodes & g, Tensor past, Tensor x, float eps);
    Tensor (*depth_to_space)(Nodes & g, const ShuffleCall & call);
    Tensor (*space_to_depth)(Nodes & g, const ShuffleCall & call);
    // Writes `count` outputs of a convolution's weight [in, out, taps] in the order that `convolve`
    // reads, from output `first` on, a multiple of pack_step as `count` is but at the end. `values`
    // are of its type, taps fastest, then inputs. Null: the order is ggml's.
    static constexpr int64_t pack_step = 32;
    void (*pack)(Tensor weight, const void * values, int64_t first, int64_t count);
    // Whether activations are rounded to the type of the weights, so that exact arithmetic needs
    // the weights in F32.
    bool rounds_to_weights;
    // Whether `matmul` reads ComfyUI's codes; else they are decoded when they are loaded.
    bool reads_codes;
};

// What is the same on every backend: sums and products, where b is broadcast,
inline Tensor add(Nodes & g, Tensor a, Tensor b) { return ggml_add(g.ctx(), a, b); }
inline Tensor mul(Nodes & g, Tensor a, Tensor b) { return ggml_mul(g.ctx(), a, b); }
// a view of `count` frames of x [channels, width, height, frames] from `first` on,
Tensor frames_of(Nodes & g, Tensor x, int64_t first, int64_t count);
// each head of x [heads * head_dim, tokens] as attention reads it, [head_dim, heads, tokens]:
// normed, where `norm` is not null, and rotated, where there are angles,
Tensor ready_heads(Nodes & g, Tensor x, int64_t head_dim, Tensor norm, float eps,
                   const Rotary & rotary);
// and each head of x [heads * head_dim, tokens] times 2 sigmoid of its logit [heads, tokens].
Tensor gate_heads(Nodes & g, Tensor x, Tensor logits);

// Attention of q, k and v [head_dim, heads, rows], as AttentionCall says of the rest but for the
// gate: k and v in the type `kv`, heads filled up with zeros to `width` values.
Tensor attend(Nodes & g, const AttentionCall & call, Tensor q, Tensor k, Tensor v, ggml_type kv,
              int64_t width);
int64_t cuda_head_dim(int64_t head_dim); // for how many values CUDA has a kernel

extern const Ops cpu_ops;       // our kernels
extern const Ops ggml_cpu_ops;  // ggml's operations, on its CPU backend
extern const Ops ggml_gpu_ops;  // and on its GPU backends,
extern const Ops ggml_cuda_ops; // of which CUDA's has wishes of its own
extern const Ops cuda_ops;      // our kernels for CUDA, where they are built
extern const Ops counted_ops;   // for a device that counts

} // namespace ltx2
