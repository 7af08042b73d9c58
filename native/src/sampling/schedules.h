// The noise schedules: how sigma falls from 1 to 0, or, in a second stage, from below 1.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace ltx2 {

struct Schedule {
    const char * name;
    int steps;                                             // the only number it has; 0: any
    std::vector<float> (*make)(int steps, int64_t tokens); // steps + 1 noise levels, down to 0
};

const std::vector<Schedule> & schedules(); // the only list of them
// INVALID_ARGUMENT naming those there are.
const Schedule & find_schedule(std::string_view name);
// For a video of 4096 tokens, whatever its size, as the official pipelines have it, unless another
// number is given. INVALID_ARGUMENT: unknown name, steps out of 1..1000 or not those that the
// schedule has.
std::vector<float> sigmas(std::string_view schedule, int steps, int64_t tokens = 4096);

} // namespace ltx2
