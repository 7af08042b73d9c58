// What the two algorithms of a convolution share: their plan, where values come from, and the order
// of packed weights.
#pragma once

#include "kernels/nodes.h"

#include <algorithm>
#include <atomic>

namespace ltx2::kernels {

// How an implicit matrix product is cut up.
struct Conv3dTiling {
    int64_t tile_width = 0, tile_height = 0, tile_panels = 0; // of one piece of work
    int64_t tiles_x = 0, tiles_y = 0, tiles_t = 0, tiles_out = 0;
    int tile_rows = 0; // positions that the inner kernel takes at once
};

// How the Winograd convolution is cut up: frames into tiles of 4x4 pixels, and those into pieces of
// work, each some tiles of some frames times some panels.
struct WinogradTiling {
    int64_t tiles_x = 0, tiles = 0; // of a frame
    int64_t still = 0;              // the first output frames, which see one frame three times
    int64_t piece_tiles = 0, piece_frames = 0, piece_panels = 0; // at most
    int64_t pieces_tiles = 0, pieces_frames = 0, pieces_panels = 0;
};

struct Conv3dPlan {
    Conv3dCall call;
    Workers workers;
    int64_t in, outputs;
    int64_t panel;        // output channels that the inner kernel takes at once
    Tensor out = nullptr; // [out, out width, out height, out frames]
    Conv3dTiling direct = {};
    WinogradTiling tiling = {};
    std::atomic<int64_t> next{0}; // the next piece of work

    int64_t panels() const { return divide_up(outputs, panel); }
};

// Input channels that lie together in packed weights.
constexpr int64_t conv3d_block = 32;

// Where position `i` of an axis of `n` lies, or -1 for a zero; past the border's one position,
// where only what fills up a tile lies, and no output reads, it is a zero.
int64_t at_border(int64_t i, int64_t n, Border border);

// Frame t of the input, whose first and last are repeated before and after it.
inline const float * input_frame(const Conv3dCall & call, int64_t t) {
    return frame_of(call.past, call.x, std::max<int64_t>(0, std::min(t, call.frames() - 1)));
}
// What is added to output frame t, or null.
inline const float * skip_frame(const Conv3dCall & call, int64_t t) {
    return call.skip ? frame_of(call.skip_past, call.skip, call.skip_first + t) : nullptr;
}

// Where the packed weights of outputs [first_out, first_out + width) and of input channels from
// `first_in`, a block's first, begin. In values.
int64_t packed_offset(const ggml_tensor * weight, int64_t first_out, int64_t width,
                      int64_t first_in);

// One block of one panel as F32, narrow panels filled up with zeros.
void unpack_block(const ggml_tensor * weight, int64_t first_out, int64_t width, int64_t first_in,
                  int64_t channels, float * to);

// The Winograd convolution, where it pays: conv3d_winograd.cpp. plan_winograd returns the floats
// that a thread works in.
bool winograd_pays(const Conv3dCall & call);
size_t plan_winograd(Conv3dPlan & plan);
void run_winograd(Conv3dPlan & plan, Tensor out, int thread, int threads);

} // namespace ltx2::kernels
