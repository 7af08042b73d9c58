// What the video VAE makes and the DiT denoises, in one layout from one to the other and back: a
// cell is a token, frames slowest, then rows, then columns, and its channels lie together. Planes,
// as PyTorch has them, exist at the C boundary alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace ltx2 {

// Frames and pixels that a latent cell stands for; the first frame has a cell of its own.
struct Scale {
    int time = 8, space = 32;

    // Of a video's frames, the first that a frame of its latents stands for.
    int first_frame(int latent) const { return latent ? time * (latent - 1) + 1 : 0; }
};

struct Grid {
    int frames = 0, height = 0, width = 0; // of latent cells

    int64_t frame_cells() const { return int64_t{height} * width; }
    int64_t cells() const { return frame_cells() * frames; }
};

struct Latents {
    Grid grid;
    int channels = 0;
    std::vector<float> values; // [frames][height][width][channels], normalised

    int64_t size() const { return grid.cells() * channels; }
};

// [channels][cells] -> [cells][channels], and back.
std::vector<float> from_planes(const float * planes, int64_t cells, int channels);
std::vector<float> to_planes(const float * values, int64_t cells, int channels);

} // namespace ltx2
