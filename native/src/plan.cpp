#include "plan.h"

#include <cmath>

namespace ltx2 {

double Plan::seconds(const Tally::Stage & stage) const {
    double sum = 0;
    for (const auto & [work, amount] : stage.work)
        if (const auto speed = speeds.find(work.name()); speed != speeds.end())
            sum += amount / speed->second;
    return sum;
}

Json plan_json(const Plan & plan, const Request & want, const VideoSize * nearest) {
    Json::Array stages;
    double seconds = 0;
    size_t most = 0;
    for (const Tally::Stage & stage : plan.tally.stages) {
        const double took = plan.seconds(stage);
        seconds += took;
        most = std::max(most, stage.mapped + stage.own());
        stages.push_back(Json::Object{{"stage", stage.name},
                                      {"seconds", took},
                                      {"mapped", stage.mapped},
                                      {"copied", stage.copied},
                                      {"activations", stage.activations}});
    }
    Json speeds = Json::Object();
    for (const auto & [name, speed] : plan.speeds)
        speeds.set(name, speed);
    const Stage & first = want.stages.front();
    Json out = Json::Object{
        {"width", want.width},
        {"height", want.height},
        {"frames", want.doubled(want.frames)},
        {"fps", double{want.result_fps()}},
        {"recipe", want.recipe},
        {"steps", want.stages.front().sigmas.size() - 1},
        {"audio", want.audio},
        {"passes", 1 + first.uses_negative() + first.uses_stg() + first.uses_isolated()},
        {"stages", std::move(stages)},
        {"seconds", seconds},
        {"memory", Json::Object{{"own", plan.tally.own()}, {"with_mapped", most}}},
        {"busy", plan.busy},
        {"fits", plan.fits()},
        {"speeds", std::move(speeds)}};
    if (plan.available)
        out.set("available", plan.available);
    if (nearest)
        out.set("nearest", Json::Object{{"width", nearest->width},
                                        {"height", nearest->height},
                                        {"frames", nearest->frames}});
    return out;
}

// Of anything in a second: whatever it takes, seconds stay a number.
static constexpr double least_speed = 1e-3, most_speed = 1e30;

Speeds speeds_of(const std::string & text) {
    Speeds speeds;
    if (text.empty())
        return speeds;
    try {
        for (const auto & [name, value] : Json::parse(text, "speeds").object("speeds")) {
            const double speed = value.number("speeds");
            if (!(speed >= least_speed && speed <= most_speed))
                fail(LTX2_STATUS_INVALID_ARGUMENT, "speeds: %g is not a speed", speed);
            speeds.emplace(name, speed);
        }
    } catch (const Error & e) {
        fail(LTX2_STATUS_INVALID_ARGUMENT, "%s", e.what());
    }
    return speeds;
}

} // namespace ltx2
