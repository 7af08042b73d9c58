#include "sampling/schedules.h"

#include "base/error.h"

#include <cmath>
#include <string>

namespace ltx2 {

static std::vector<float> ltx2_sigmas(int steps) {
    // The shift is the one for 4096 tokens whatever the video's size, as in the official pipelines.
    const double shift = std::exp(2.05), terminal = 0.1;
    std::vector<double> s(static_cast<size_t>(steps) + 1, 0.0);
    for (int i = 0; i < steps; ++i) {
        // torch.linspace counts in float32, from the nearer end.
        const float step = -1.0f / steps;
        const float linear =
            i < (steps + 1) / 2 ? 1.0f + step * i : 0.0f - step * static_cast<float>(steps - i);
        s[i] = static_cast<float>(shift) / (static_cast<float>(shift) + (1.0f / linear - 1.0f));
    }
    const double scale = (1 - s[steps - 1]) / (1 - terminal);
    std::vector<float> out(s.size(), 0.0f);
    for (int i = 0; i < steps; ++i)
        out[i] = scale > 0 ? static_cast<float>(1 - (1 - s[i]) / scale) : static_cast<float>(s[i]);
    return out;
}

static std::vector<float> linear_quadratic_sigmas(int steps) {
    if (steps == 1)
        return {1.0f, 0.0f};
    const double threshold = 0.025;
    const int linear = steps / 2, quadratic = steps - linear;
    const double difference = linear - threshold * steps;
    const double a = difference / (double(linear) * quadratic * quadratic);
    const double b = threshold / linear - 2 * difference / (double(quadratic) * quadratic);
    const double c = a * linear * linear;
    std::vector<float> out;
    for (int i = 0; i < steps; ++i)
        out.push_back(
            static_cast<float>(1 - (i < linear ? i * threshold / linear : a * i * i + b * i + c)));
    out.push_back(0.0f);
    return out;
}

static std::vector<float> distilled_sigmas(int) {
    return {1.0f, 0.99375f, 0.9875f, 0.98125f, 0.975f, 0.909375f, 0.725f, 0.421875f, 0.0f};
}

const std::vector<Schedule> & schedules() {
    static const std::vector<Schedule> all = {{"distilled", 8, distilled_sigmas},
                                              {"ltx2", 0, ltx2_sigmas},
                                              {"linear_quadratic", 0, linear_quadratic_sigmas}};
    return all;
}

const Schedule & find_schedule(std::string_view name) {
    std::string names;
    for (const Schedule & schedule : schedules()) {
        if (schedule.name == name)
            return schedule;
        names += (names.empty() ? "" : ", ") + std::string(schedule.name);
    }
    fail(LTX2_STATUS_INVALID_ARGUMENT, "schedule: %s is unknown; there are %s",
         std::string(name).c_str(), names.c_str());
}

std::vector<float> sigmas(std::string_view name, int steps) {
    const Schedule & schedule = find_schedule(name);
    if (steps < 1 || steps > 1000)
        fail(LTX2_STATUS_INVALID_ARGUMENT, "steps: %d is not in 1..1000", steps);
    if (schedule.steps && steps != schedule.steps)
        fail(LTX2_STATUS_INVALID_ARGUMENT, "steps: %d does not fit the schedule %s; it has %d",
             steps, schedule.name, schedule.steps);
    return schedule.make(steps);
}

} // namespace ltx2
