#include "check.h"
#include "sampling/denoise.h"
#include "sampling/samplers.h"

#include <cmath>

using namespace ltx2;

// A video's stream of one channel that is given 7 everywhere and has noise 3.
static State state_of(std::vector<float> mask, float sigma = 1) {
    Stream video;
    video.channels = 1;
    video.clean.assign(mask.size(), 7);
    video.latents = video.clean;
    video.mask = std::move(mask);
    video.add_noise(std::vector<float>(video.mask.size(), 3), sigma);
    return {video};
}

static const Guidance none = {1, 0, 0, {}};
static const std::vector<float> falling = {1, 0.9f, 0.6f, 0.2f, 0};

// A model that knows x0 gives v = (z - x0) / sigma.
static std::vector<float> knows(const Stream & stream, float sigma, float x0) {
    return {(stream.latents[0] - x0) / sigma, 1e30f};
}

TEST(the_loop_reaches_what_the_model_knows) {
    State state = state_of({1, 0});
    CHECK(state[0].latents[0] == 3 && state[0].latents[1] == 7);
    size_t calls = 0;
    denoise(state, {falling, none}, Progress(), [&](const State & now, float sigma) {
        CHECK(sigma == falling[calls++]);
        return Velocities{{knows(now[0], sigma, -1)}, {}, {}};
    });
    CHECK(calls == 4);
    CHECK(std::fabs(state[0].latents[0] + 1) < 1e-5);
    CHECK(state[0].latents[1] == 7); // given content stays exactly, whatever the model says
}

TEST(a_second_stage_begins_below_one_and_streams_go_together) {
    State state = state_of({1, 0.5f}, 0.5f);
    CHECK(state[0].latents[0] == 5 && state[0].latents[1] == 6); // half of the noise, a quarter
    state.push_back(state[0]);
    denoise(state, {{0.5f, 0.25f, 0}, none}, Progress(), [&](const State & now, float sigma) {
        return Velocities{{knows(now[0], sigma, 1), knows(now[1], sigma, 2)}, {}, {}};
    });
    CHECK(std::fabs(state[0].latents[0] - 1) < 1e-5 && std::fabs(state[1].latents[0] - 2) < 1e-5);
}

// What each step is told: how many are done, and what it took the latents for.
TEST(it_goes_on_from_any_step_to_the_same_bits) {
    const auto velocity = [](const State & now, float sigma) {
        return Velocities{{knows(now[0], sigma, -1)}, {}, {}};
    };
    std::vector<State> after;
    State state = state_of({1, 0});
    denoise(state, {falling, none}, Progress(), velocity, nullptr,
            [&](int done, const std::vector<float> & predicted) {
                after.push_back(state);
                CHECK(after.size() == static_cast<size_t>(done));
                CHECK(std::fabs(predicted[0] + 1) < 1e-5 && predicted[1] == 7);
            });
    CHECK(after.size() == 4 && after.back()[0].latents == state[0].latents);
    for (int first = 1; first <= 4; ++first) {
        State again = after[static_cast<size_t>(first - 1)];
        Stage rest = {falling, none};
        rest.first = first;
        denoise(again, rest, Progress(), velocity);
        CHECK(again[0].latents == state[0].latents);
    }
}

// In place of 0 it takes a level of its own, which is below all that are given.
TEST(res_2s_ends_below_a_last_level_of_any_size) {
    for (const float least : {0.0022f, 0.0011f, 0.001f, 1e-6f}) {
        Stage stage = {{0.9f, least, 0}, none};
        stage.sampler = &find_sampler("res_2s");
        State state = state_of({1, 0}, 0.9f);
        float before = 1;
        denoise(
            state, stage, Progress(),
            [&](const State & now, float sigma) {
                CHECK(sigma > 0 && sigma < before);
                before = sigma;
                return Velocities{{knows(now[0], sigma, -1)}, {}, {}};
            },
            [](int, size_t) { return std::vector<float>{1, -1}; });
        CHECK(std::fabs(state[0].latents[0] + 1) < 1e-3 && state[0].latents[1] == 7);
    }
}

TEST(a_caller_can_stop_it) {
    int calls = 0;
    const Progress stop(
        [](const ltx2_progress * p, void * data) {
            CHECK(std::string(p->stage) == "denoise" && p->total == 4);
            return ++*static_cast<int *>(data) < 3;
        },
        &calls);
    State state = state_of({1});
    CHECK_THROWS(denoise(state, {falling, none}, stop,
                         [](const State &, float) { return Velocities{{{0}}, {}, {}}; }),
                 "cancelled at 2 of 4");
    CHECK(calls == 3);
}

int main(int argc, char ** argv) { return run_tests(argc, argv); }
