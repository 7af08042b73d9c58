#include "check.h"
#include "sampling/latents.h"

using namespace ltx2;

TEST(layouts_are_inverse) {
    const std::vector<float> planes = {1, 2, 3, 10, 20, 30}; // 2 channels, 3 cells
    const std::vector<float> cells = from_planes(planes.data(), 3, 2);
    CHECK((cells == std::vector<float>{1, 10, 2, 20, 3, 30}));
    CHECK(to_planes(cells.data(), 3, 2) == planes);
}

TEST(a_grid_counts_its_cells) {
    const Latents latents{{16, 16, 24}, 128, {}};
    CHECK(latents.grid.frame_cells() == 384 && latents.grid.cells() == 6144);
    CHECK(latents.size() == 6144 * 128);
}

int main(int argc, char ** argv) { return run_tests(argc, argv); }
