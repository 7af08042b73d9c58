#include "check.h"
#include "sampling/guidance.h"
#include "sampling/near.h"

using namespace ltx2;

TEST(guidance_is_rescaled) {
    Guidance s;
    s.scale = 3, s.stg = 1, s.rescale = 0;
    check_near(guide(s, {{1, 2}, {0, 1}, {1, 3}, {}}), {3, 3}, 1e-6);
    check_near(guide(s, {{1, 2}, {}, {}, {}}), {1, 2}, 0);
    s.modality = 4;
    check_near(guide(s, {{1, 2}, {}, {}, {2, 1}}), {-2, 5}, 1e-6);
    // Rescaled wholly, the deviation is that of the plain prediction.
    s.rescale = 1, s.stg = 0;
    const std::vector<float> out = guide(s, {{1, 2}, {0, 4}, {}, {}});
    CHECK(std::fabs(std::fabs(out[0] - out[1]) - 1) < 1e-6);
}

int main(int argc, char ** argv) { return run_tests(argc, argv); }
