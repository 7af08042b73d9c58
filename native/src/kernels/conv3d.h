// Convolutions over time, rows and columns on the CPU, channels fastest: an implicit matrix product
// with F32 sums over F32 activations and F16 or F32 weights. Borders are made while the input is
// laid out for the product, so there is no padded copy. Every output is summed in one order that
// depends on the layer alone: a value is the same bits wherever its tile or window begins, and for
// any number of threads.
#pragma once

#include "ggml.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

namespace ltx2::kernels {

enum class Border { zeros, reflect, replicate, circular }; // in space; time is always replicated

// What one call reads. Frames come from two tensors that are seen as one row of frames: `past`
// (null: none), then `x`, each [in, width, height, frames].
struct Conv3dCall {
    ggml_tensor * x = nullptr;
    ggml_tensor * past = nullptr;
    ggml_tensor * weight = nullptr; // packed by `pack_conv3d`
    ggml_tensor * bias = nullptr;   // [out]
    ggml_tensor * skip = nullptr;   // added: [out, out width, out height, frames], or null
    ggml_tensor * skip_past = nullptr;
    int64_t skip_first = 0; // the frame of (skip_past, skip) that the first output gets
    int kernel = 3;         // in each direction: 3 or 1
    int stride_time = 1, stride_space = 1; // 1 or 2
    int before = 0, after = 0; // copies of the first and of the last frame around the row
    Border border = Border::zeros;

    int64_t frames() const { return (past ? past->ne[3] : 0) + x->ne[3]; }
    int64_t out_frames() const { return strided(before + frames() + after, stride_time); }
    int64_t out_width() const { return strided(x->ne[1] + kernel - 1, stride_space); }
    int64_t out_height() const { return strided(x->ne[2] + kernel - 1, stride_space); }

private:
    int64_t strided(int64_t padded, int stride) const {
        return padded < kernel ? 0 : (padded - kernel) / stride + 1;
    }
};

// A call with its tiles and scratch memory; must live until the graph has run, once.
struct Conv3dPlan {
    Conv3dCall call;
    ggml_tensor * out = nullptr; // [out, out width, out height, out frames]
    int64_t in = 0, outputs = 0;
    int64_t tile_width = 0, tile_height = 0, tile_panels = 0; // of one piece of work
    int64_t tiles_x = 0, tiles_y = 0, tiles_t = 0, tiles_out = 0;
    int64_t panel = 0;       // output channels that the inner kernel takes at once
    int tile_rows = 0;       // positions that the inner kernel takes at once
    size_t scratch_size = 0; // floats a thread
    std::vector<float> scratch;
    std::atomic<int64_t> next{0}; // the piece of work nobody has taken

    int64_t panels() const { return (outputs + panel - 1) / panel; }
};

// Rewrites a weight [in, out, taps] on the host, F16 or F32, into the order the kernel reads; once.
void pack_conv3d(ggml_tensor * weight);

// Adds the convolution to a graph. The sizes must fit: the caller has checked them.
std::unique_ptr<Conv3dPlan> conv3d(ggml_context * ctx, const Conv3dCall & call, int threads);

// The scalar twin, on weights as they were before packing; for tests.
void conv3d_plain(const Conv3dCall & call, const float * weight, float * out);

} // namespace ltx2::kernels
