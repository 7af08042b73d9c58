// Convolutions over time, rows and columns on the CPU, channels fastest, with F32 sums over F32
// activations and F16 or F32 weights: by Winograd's F(4x4, 3x3) where that pays, else as an
// implicit matrix product. Borders are made while the input is laid out, so there is no padded
// copy. Every output is summed in one order that depends on the layer and the size of a frame
// alone: a value is the same bits wherever its window begins, and for any number of threads.
#pragma once

#include "kernels/scratch.h"

#include "ggml.h"

#include <atomic>
#include <cstdint>
#include <memory>

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
    bool direct = false;         // always as a matrix product
    Scratch * scratch = nullptr; // to work in until the graph has run; null: the plan's own

    int64_t frames() const { return (past ? past->ne[3] : 0) + x->ne[3]; }
    int64_t out_frames() const { return strided(before + frames() + after, stride_time); }
    int64_t out_width() const { return strided(x->ne[1] + kernel - 1, stride_space); }
    int64_t out_height() const { return strided(x->ne[2] + kernel - 1, stride_space); }

private:
    int64_t strided(int64_t padded, int stride) const {
        return padded < kernel ? 0 : (padded - kernel) / stride + 1;
    }
};

// How an implicit matrix product is cut up.
struct Conv3dTiling {
    int64_t tile_width = 0, tile_height = 0, tile_panels = 0; // of one piece of work
    int64_t tiles_x = 0, tiles_y = 0, tiles_t = 0, tiles_out = 0;
    int tile_rows = 0; // positions that the inner kernel takes at once
};

// How Winograd's way is: frames into tiles of 4x4 pixels, and those into pieces of work, each some
// tiles of some frames times some panels.
struct WinogradTiling {
    int64_t tiles_x = 0, tiles = 0; // of a frame
    int64_t still = 0;              // the first outputs, which see one frame three times
    int64_t piece_tiles = 0, piece_frames = 0, piece_panels = 0; // at most
    int64_t pieces_tiles = 0, pieces_frames = 0, pieces_panels = 0;
};

// A call with its pieces of work; must live until the graph has run, once.
struct Conv3dPlan {
    Conv3dCall call;
    ggml_tensor * out = nullptr; // [out, out width, out height, out frames]
    int64_t in = 0, outputs = 0;
    int64_t panel = 0; // output channels that the inner kernel takes at once
    bool winograd = false;
    Conv3dTiling direct;
    WinogradTiling tiling;
    size_t scratch_size = 0; // floats a thread
    Scratch own;
    std::atomic<int64_t> next{0}; // the piece of work nobody has taken

    Scratch & scratch() { return call.scratch ? *call.scratch : own; }
    int64_t panels() const { return (outputs + panel - 1) / panel; }
};

// Rewrites a weight [in, out, taps] on the host, F16 or F32, into the order the kernel reads; once.
void pack_conv3d(ggml_tensor * weight);

// Adds the convolution to a graph. The sizes must fit: the caller has checked them.
std::unique_ptr<Conv3dPlan> conv3d(ggml_context * ctx, const Conv3dCall & call, int threads);

// The scalar twin, on weights as they were before packing; for tests.
void conv3d_plain(const Conv3dCall & call, const float * weight, float * out);

} // namespace ltx2::kernels
