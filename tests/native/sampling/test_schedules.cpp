#include "check.h"
#include "sampling/near.h"
#include "sampling/schedules.h"

#include <cmath>

using namespace ltx2;

TEST(schedules_are_the_official_ones) {
    // Printed by the official schedulers to six digits.
    check_near(sigmas("ltx2", 8), {1, .965712, .921875, .863856, .783445, .664579, .471003, .1, 0},
               1e-6);
    check_near(sigmas("ltx2", 30),
               {1,       .994957, .989603, .983908, .977840, .971358, .964421, .956978,
                .948972, .940336, .930994, .920854, .909810, .897735, .884479, .869858,
                .853651, .835584, .815319, .792427, .766363, .736418, .701656, .660813,
                .612141, .553148, .480164, .387541, .266120, .1,      0},
               1e-6);
    check_near(sigmas("linear_quadratic", 20),
               {1,    .9975, .995, .9925, .99,  .9875, .985, .9825, .98,  .9775, .975,
                .963, .932,  .882, .813,  .725, .618,  .492, .347,  .183, 0},
               6e-4);
    // The distilled list is the linear-quadratic one with 8 steps.
    const std::vector<float> lq = sigmas("linear_quadratic", 8);
    check_near(sigmas("distilled", 8), std::vector<double>(lq.begin(), lq.end()), 1e-6);
    check_near(sigmas("ltx2", 1), {1, 0}, 0.0);
    CHECK_THROWS(sigmas("karras", 8), "karras is unknown; there are distilled, ltx2, linear_q");
    CHECK_THROWS(sigmas("ltx2", 0), "steps: 0");
    CHECK_THROWS(sigmas("distilled", 7), "steps: 7");
}

TEST(every_schedule_falls_from_where_it_begins_to_nothing) {
    for (const Schedule & schedule : schedules())
        for (int steps = 1; steps <= 1000; steps += 37) {
            const std::vector<float> s =
                sigmas(schedule.name, schedule.steps ? schedule.steps : steps);
            const std::string name = schedule.name;
            const float first = name == "refine" ? 0.909375f : name == "densify" ? 0.975f : 1;
            CHECK(std::abs(s.front() - first) < 2e-7 && s.back() == 0); // ltx2's a few ulp off
            for (size_t i = 1; i < s.size(); ++i)
                CHECK(s[i] < s[i - 1]);
        }
}

int main(int argc, char ** argv) { return run_tests(argc, argv); }
