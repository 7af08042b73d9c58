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

// So many cells as spans, all alike, of which neighbours share `overlap`: of at most `size`, unless
// they would have fewer than `least` cells.
std::vector<Span> spans(int64_t cells, int64_t size, int64_t overlap, int64_t least);

// How much each position of a span counts, where a cell is `scale` positions and the first one
// lacks `lost` of them; with what its neighbours count for, it is one.
std::vector<float> shares(const Span & span, int64_t scale, int64_t lost = 0);

} // namespace ltx2
