#include "check.h"
#include "sampling/positions.h"

#include <cmath>

using namespace ltx2;

TEST(positions_are_of_the_middle) {
    const Grid grid = {3, 3, 4};
    const std::vector<Position> p = video_positions(grid, Scale(), 24);
    CHECK(p.size() == 3 * 3 * 4);
    // Token (1, 2, 3) of the specification's test vector.
    const Position & q = p[1 * 12 + 2 * 4 + 3];
    CHECK(std::fabs(q.time - 0.20833333) < 1e-7 && q.row == 80 && q.column == 112);
    CHECK(std::fabs(p[0].time - 0.5 / 24) < 1e-8 && p[0].row == 16 && p[0].column == 16);
    const std::vector<Position> k = keyframe_positions(grid, Scale(), 24, 12);
    CHECK(k.size() == 12 && std::fabs(k[0].time - 12.5 / 24) < 1e-6);
    // Another VAE's cells: two frames of 16 x 16 pixels.
    const std::vector<Position> other = video_positions({2, 1, 2}, {2, 16}, 8);
    CHECK(other[3].row == 8 && other[3].column == 24 && other[3].time == 0.25f);
}

int main(int argc, char ** argv) { return run_tests(argc, argv); }
