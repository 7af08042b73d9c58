#include "check.h"
#include "graph/rotary.h"

#include <cmath>

using namespace ltx2;

static bool near(float have, double want) { return std::fabs(have - want) < 2e-6; }

// Token (1, 2, 3) at 24 fps of the specification's test vector: every head has its own angles.
TEST(three_axes_share_a_head) {
    const RotaryTable t =
        rotary_table({0.20833333f, 80, 112}, 3, {20, 2048, 2048}, 10000, 4096, 32, true);
    CHECK(t.cos.size() == 2048 && t.sin.size() == 2048);
    const auto at = [&](int head, int j, double cosine, double sine) {
        CHECK(near(t.cos[static_cast<size_t>(head * 64 + j)], cosine));
        CHECK(near(t.sin[static_cast<size_t>(head * 64 + j)], sine));
    };
    at(0, 0, 1, 0); // 2048 = 3 * 682 + 2: padding at the front
    at(0, 1, 1, 0);
    at(0, 2, 0.032719, -0.999465);
    at(0, 3, 0.122411, -0.992480);
    at(0, 4, 0.170962, -0.985278);
    at(0, 5, 0.011781, -0.999931);
    at(1, 0, -0.259726, -0.965682);
    at(16, 10, -0.504754, 0.863263);
    at(31, 63, -0.924066, 0.382232);
}

TEST(one_axis_fills_a_head) {
    const RotaryTable t = rotary_table({1, 1023}, 1, {4096}, 10000, 4096, 32, true);
    CHECK(near(t.cos[0], 0.000766949) && near(t.sin[0], -0.999999706));
    CHECK(near(t.cos[2048], 0.706564) && near(t.sin[2048], -0.707649));
}

TEST(widths_that_do_not_fit_are_refused) {
    CHECK_THROWS(rotary_table({1}, 1, {4096}, 10000, 6, 4, true), "rotary");
    CHECK_THROWS(rotary_table({1}, 1, {}, 10000, 64, 4, true), "rotary");
}

int main(int argc, char ** argv) { return run_tests(argc, argv); }
