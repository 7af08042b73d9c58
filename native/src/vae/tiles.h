// A video in tiles that overlap, and how they are blended.
#pragma once

#include <cstdint>
#include <vector>

namespace ltx2 {

struct Span {
    int64_t begin, end;
    int64_t before, after; // of these cells, the first and the last that neighbours have too
    int64_t size() const { return end - begin; }
};

// So many cells as spans of at most `size`, all alike, of which neighbours share `overlap`.
std::vector<Span> spans(int64_t cells, int64_t size, int64_t overlap);

// How much of a position of a span counts, where each cell is `scale` positions; with what its
// neighbours count for, it is one. `count` positions, of the first cell all but `lost`.
std::vector<float> shares(const Span & span, int64_t scale, int64_t lost = 0);

} // namespace ltx2
