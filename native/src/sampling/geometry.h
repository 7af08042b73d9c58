// Pixels <-> latents: sizes, token order, positions. A token is one latent cell; tokens run frame
// slowest, then row, then column.
#pragma once

#include "base/error.h"

#include <cstdint>
#include <vector>

namespace ltx2 {

// What the video VAE compresses: 8 frames (the first alone), 32 x 32 pixels.
constexpr int frame_scale = 8, pixel_scale = 32;

struct Geometry {
    int width = 0, height = 0, frames = 0; // pixels
    float fps = 0;
    int channels = 0; // of a latent

    // Errors: INVALID_ARGUMENT naming the field and the nearest values that work.
    Geometry(int width, int height, int frames, float fps, int channels);

    int latent_frames() const { return (frames - 1) / frame_scale + 1; }
    int latent_height() const { return height / pixel_scale; }
    int latent_width() const { return width / pixel_scale; }
    int64_t frame_tokens() const { return int64_t(latent_height()) * latent_width(); }
    int64_t tokens() const { return frame_tokens() * latent_frames(); }
    int64_t latent_size() const { return tokens() * channels; }
};

// [channels][frames][height][width] <-> [tokens][channels]
std::vector<float> to_tokens(const float * latents, int64_t tokens, int channels);
std::vector<float> from_tokens(const float * tokens, int64_t count, int channels);

} // namespace ltx2
