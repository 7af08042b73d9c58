// Convolutions over time, rows and columns on the CPU, channels fastest, with F32 sums over F32
// activations and F16 or F32 weights: by Winograd's F(4x4, 3x3) where that pays, else as an
// implicit matrix product. Borders are made while the input is laid out, so there is no padded
// copy. Every output is summed in one order that depends on the layer and the size of a frame
// alone: a value is the same bits wherever its window begins, and for any number of threads.
#pragma once

#include "kernels/calls.h"
#include "kernels/scratch.h"

#include <atomic>
#include <memory>

namespace ltx2::kernels {

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
    Workers workers;
    int64_t in, outputs;
    int64_t panel;               // output channels that the inner kernel takes at once
    ggml_tensor * out = nullptr; // [out, out width, out height, out frames]
    bool winograd = false;
    Conv3dTiling direct;
    WinogradTiling tiling;
    std::atomic<int64_t> next{0}; // the piece of work nobody has taken

    Conv3dPlan(const Conv3dCall & call, Workers workers);
    int64_t panels() const { return divide_up(outputs, panel); }
};

// Rewrites a weight [in, out, taps] on the host, F16 or F32, into the order the kernel reads; once.
void pack_conv3d(ggml_tensor * weight);

// Adds the convolution to a graph; `direct`: always as a matrix product. The sizes must fit: the
// caller has checked them.
std::shared_ptr<Conv3dPlan> conv3d(ggml_context * ctx, const Conv3dCall & call, bool direct,
                                   Workers workers);

// The scalar twin, on weights as they were before packing; for tests.
void conv3d_plain(const Conv3dCall & call, const float * weight, float * out);

} // namespace ltx2::kernels
