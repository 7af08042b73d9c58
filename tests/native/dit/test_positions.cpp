#include "check.h"
#include "dit/positions.h"

#include <cmath>

using namespace ltx2;

TEST(positions_are_of_the_middle) {
    const Geometry g(128, 96, 17, 24, 8);
    const std::vector<Position> p = video_positions(g);
    CHECK(p.size() == 3 * 3 * 4);
    // Token (1, 2, 3) of the specification's test vector.
    const Position & q = p[1 * 12 + 2 * 4 + 3];
    CHECK(std::fabs(q.time - 0.20833333) < 1e-7 && q.row == 80 && q.column == 112);
    CHECK(std::fabs(p[0].time - 0.5 / 24) < 1e-8 && p[0].row == 16 && p[0].column == 16);
    const std::vector<Position> k = keyframe_positions(g, 12);
    CHECK(k.size() == 12 && std::fabs(k[0].time - 12.5 / 24) < 1e-6);
}

int main(int argc, char ** argv) { return run_tests(argc, argv); }
