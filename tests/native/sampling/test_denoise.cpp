#include "check.h"
#include "sampling/denoise.h"

#include <cmath>

using namespace ltx2;

static void check_near(const std::vector<float> & have, const std::vector<double> & want,
                       double limit) {
    CHECK(have.size() == want.size());
    for (size_t i = 0; i < have.size() && i < want.size(); ++i)
        CHECK(std::fabs(have[i] - want[i]) <= limit);
}

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
    CHECK_THROWS(sigmas("karras", 8), "karras");
    CHECK_THROWS(sigmas("ltx2", 0), "steps: 0");
    CHECK_THROWS(sigmas("distilled", 7), "steps: 7");
}

TEST(guidance_is_rescaled) {
    Sampling s;
    s.guidance = 3, s.stg = 1, s.rescale = 0;
    check_near(guide(s, {1, 2}, {0, 1}, {1, 3}), {3, 3}, 1e-6);
    check_near(guide(s, {1, 2}, {}, {}), {1, 2}, 0);
    // Rescaled wholly, the deviation is that of the plain prediction.
    s.rescale = 1, s.stg = 0;
    const std::vector<float> out = guide(s, {1, 2}, {0, 4}, {});
    CHECK(std::fabs(std::fabs(out[0] - out[1]) - 1) < 1e-6);
}

static State state_of(std::vector<float> mask) {
    State state;
    state.tokens = static_cast<int64_t>(mask.size());
    state.channels = 1;
    state.clean.assign(mask.size(), 7);
    state.latents = state.clean;
    state.mask = std::move(mask);
    state.add_noise(std::vector<float>(state.mask.size(), 3));
    return state;
}

TEST(the_loop_reaches_what_the_model_knows) {
    Sampling s;
    s.guidance = 1, s.stg = 0, s.rescale = 0;
    State state = state_of({1, 0});
    CHECK(state.latents[0] == 3 && state.latents[1] == 7);
    int calls = 0;
    const std::vector<float> schedule = sigmas("distilled", 8);
    denoise(state, s, schedule, Progress(), [&](const State & now, float sigma) {
        CHECK(sigma == schedule[static_cast<size_t>(calls)]);
        ++calls;
        // A model that knows x0 = -1 gives v = (z - x0) / sigma.
        return Velocities{{(now.latents[0] + 1) / sigma, 1e30f}, {}, {}};
    });
    CHECK(calls == 8);
    CHECK(std::fabs(state.latents[0] + 1) < 1e-5);
    CHECK(state.latents[1] == 7); // given content stays exactly, whatever the model says
}

TEST(a_caller_can_stop_it) {
    struct Count {
        int calls = 0;
    } count;
    const Progress stop(
        [](const ltx2_progress * p, void * data) {
            CHECK(std::string(p->stage) == "denoise" && p->total == 8);
            return ++static_cast<Count *>(data)->calls < 3;
        },
        &count);
    Sampling s;
    State state = state_of({1});
    CHECK_THROWS(denoise(state, s, sigmas("distilled", 8), stop,
                         [](const State &, float) { return Velocities{{0}, {}, {}}; }),
                 "cancelled at 2 of 8");
    CHECK(count.calls == 3);
}

int main(int argc, char ** argv) { return run_tests(argc, argv); }
