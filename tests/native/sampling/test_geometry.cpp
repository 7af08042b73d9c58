#include "check.h"
#include "sampling/geometry.h"

#include <cmath>

using namespace ltx2;

TEST(sizes_are_checked) {
    const Geometry g(768, 512, 121, 24, 128);
    CHECK(g.latent_frames() == 16 && g.latent_height() == 16 && g.latent_width() == 24);
    CHECK(g.tokens() == 6144 && g.latent_size() == 6144 * 128);
    CHECK(Geometry(32, 32, 1, 24, 128).tokens() == 1);
    CHECK_THROWS(Geometry(500, 512, 121, 24, 128), "width: 500 is not a multiple of 32");
    CHECK_THROWS(Geometry(500, 512, 121, 24, 128), "nearest are 480 and 512");
    CHECK_THROWS(Geometry(768, 0, 121, 24, 128), "height: 0");
    CHECK_THROWS(Geometry(768, 512, 120, 24, 128),
                 "frames: 120 is not 8k+1; nearest are 113 and 121");
    CHECK_THROWS(Geometry(768, 512, -7, 24, 128), "frames: -7");
    CHECK_THROWS(Geometry(768, 512, 2147483641, 24, 128), "frames");
    CHECK_THROWS(Geometry(768, 512, 121, NAN, 128), "fps");
    CHECK_THROWS(Geometry(768, 512, 121, 0.5f, 128), "fps: 0.5");
}

TEST(layouts_are_inverse) {
    const std::vector<float> latents = {1, 2, 3, 10, 20, 30}; // 2 channels, 3 tokens
    const std::vector<float> tokens = to_tokens(latents.data(), 3, 2);
    CHECK((tokens == std::vector<float>{1, 10, 2, 20, 3, 30}));
    CHECK(from_tokens(tokens.data(), 3, 2) == latents);
}

int main(int argc, char ** argv) { return run_tests(argc, argv); }
