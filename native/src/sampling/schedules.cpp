#include "sampling/schedules.h"

#include "base/named.h"

#include <cmath>
#include <string>

namespace ltx2 {

// The official scheduler's bits, of PyTorch's arithmetic in float32: a model multiplies a
// difference in sigma by a thousand. This file is compiled without multiply-adds but those that it
// asks for.

// torch.linspace(1, 0, steps + 1)[i], which counts from the nearer end.
static float falling(int i, int steps) {
    const float step = 1.0f / static_cast<float>(steps);
    return i < (steps + 1) / 2 ? std::fma(-step, static_cast<float>(i), 1.0f)
                               : step * static_cast<float>(steps - i);
}

// 0.95 for 1024 tokens, 2.05 for 4096, and on that line for others.
static float shift_for(int64_t tokens) {
    if (tokens == 4096)
        return 7.767901106f; // the same bits on every platform
    const double slope = (2.05 - 0.95) / (4096 - 1024);
    return static_cast<float>(std::exp(static_cast<double>(tokens) * slope + 0.95 - slope * 1024));
}

static std::vector<float> ltx2_sigmas(int steps, int64_t tokens) {
    if (steps == 1) // the official stretch is 0 / 0
        return {1.0f, 0.0f};
    const float shift = shift_for(tokens);
    std::vector<float> removed; // noise, before the stretch
    for (int i = 0; i < steps; ++i)
        removed.push_back(1 - 1 / (shift + (1 / falling(i, steps) - 1)) * shift);
    const float stretch = removed.back() / 0.9f; // so that the last sigma is 0.1
    std::vector<float> out;
    for (float r : removed)
        out.push_back(1 - r / stretch);
    out.push_back(0.0f);
    return out;
}

static std::vector<float> linear_quadratic_sigmas(int steps, int64_t) {
    if (steps == 1)
        return {1.0f, 0.0f};
    const double threshold = 0.025;
    const int linear = steps / 2, quadratic = steps - linear;
    const double difference = linear - threshold * steps, square = quadratic * quadratic;
    const double a = difference / (linear * square);
    const double b = threshold / linear - 2 * difference / square;
    const double c = a * (linear * linear);
    std::vector<float> out;
    for (int i = 0; i < steps; ++i)
        out.push_back(static_cast<float>(
            1 - (i < linear ? i * threshold / linear : a * (i * i) + b * i + c)));
    out.push_back(0.0f);
    return out;
}

static std::vector<float> distilled_sigmas(int, int64_t) {
    return {1.0f, 0.99375f, 0.9875f, 0.98125f, 0.975f, 0.909375f, 0.725f, 0.421875f, 0.0f};
}

static std::vector<float> refining_sigmas(int, int64_t) {
    return {0.909375f, 0.725f, 0.421875f, 0.0f};
}

static std::vector<float> densifying_sigmas(int, int64_t) {
    return {0.975f, 0.909375f, 0.725f, 0.421875f, 0.0f};
}

const std::vector<Schedule> & schedules() {
    static const std::vector<Schedule> all = {{"distilled", 8, distilled_sigmas},
                                              {"ltx2", 0, ltx2_sigmas},
                                              {"linear_quadratic", 0, linear_quadratic_sigmas},
                                              {"refine", 3, refining_sigmas},
                                              {"densify", 4, densifying_sigmas}};
    return all;
}

const Schedule & find_schedule(std::string_view name) {
    return find_known("schedule", schedules(), name);
}

std::vector<float> sigmas(std::string_view name, int steps, int64_t tokens) {
    const Schedule & schedule = find_schedule(name);
    if (steps < 1 || steps > 1000)
        fail(LTX2_STATUS_INVALID_ARGUMENT, "steps: %d is not in 1..1000", steps);
    if (schedule.steps && steps != schedule.steps)
        fail(LTX2_STATUS_INVALID_ARGUMENT, "steps: %d does not fit the schedule %s; it has %d",
             steps, schedule.name, schedule.steps);
    return schedule.make(steps, tokens);
}

} // namespace ltx2
