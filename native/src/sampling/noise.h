// Seeded normal noise, the same bits on every platform and device: Philox4x32-10 (Salmon et al.,
// SC 2011) with key = seed and counter = (index / 4, stream), Box-Muller in double precision from
// additions, multiplications, divisions and square roots alone. docs/model.md states it in full.
#pragma once

#include <cstdint>
#include <vector>

namespace ltx2 {

// Values `0..count-1` of stream `stream`. The video's latents are stream 0, in the order
// channels x frames x height x width; the tokens of image i at a later frame are stream i + 1.
// A decoder's stream is in session.cpp.
std::vector<float> normal_noise(uint64_t seed, uint32_t stream, int64_t count);
// Values `first`, a multiple of four, to `first + count - 1` of it.
std::vector<float> normal_noise(uint64_t seed, uint32_t stream, int64_t first, int64_t count);
// Value `index` of others, evenly spread from 0 to below 1: of the counter (index, stream, 1).
double even_noise(uint64_t seed, uint32_t stream, uint64_t index);

} // namespace ltx2
