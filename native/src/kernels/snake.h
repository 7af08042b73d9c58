// The inner kernel of the anti-aliased SnakeBeta of a vocoder: x to twice the rate, each value plus
// amount * sin^2(frequency * x), and back to its rate, without the values in between leaving the L1
// cache.
#pragma once

#include <cstdint>

namespace ltx2::kernels {

constexpr int snake_taps = 12; // of either filter

// Positions of some channels, which lie together; positions are `stride` values apart. What lies
// before the first position is its copy, and after the last one likewise, at either rate.
struct SnakeBlock {
    const float * x; // of the first position there is
    int64_t stride, positions;
    int64_t first, count; // the positions to be given
    int channels;
    const float *frequency, *amount; // of each channel
    const float *up, *down;          // filters
    float * out;                     // of the first position there is
    float * room;                    // snake_room(count) values
};
// A vector of values at twice the rate for each position that the given ones depend on.
constexpr int64_t snake_room(int64_t count) { return (2 * count + snake_taps) * 16; }

using Snake = void (*)(const SnakeBlock & block);

} // namespace ltx2::kernels
