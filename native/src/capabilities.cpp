#include "capabilities.h"

#include "base/progress.h"
#include "convert.h"
#include "graph/device.h"
#include "model/describe.h"
#include "request.h"
#include "sampling/recipes.h"
#include "sampling/samplers.h"
#include "sampling/schedules.h"

namespace ltx2 {

template <class Names>
static Json list(const Names & names) {
    return Json::Array(std::begin(names), std::end(names));
}

Json capabilities() {
    Json::Array names;
    for (const Schedule & schedule : schedules())
        names.push_back(schedule.name);
    Json::Array ways;
    for (const Sampler & sampler : samplers())
        ways.push_back(sampler.name);
    Json::Array whole;
    for (const Recipe & recipe : recipes())
        whole.push_back(recipe.name);
    const Defaults d;
    return Json::Object{{"version", LTX2_VERSION},
                        {"defaults", Json::Object{{"width", d.width},
                                                  {"height", d.height},
                                                  {"frames", d.frames},
                                                  {"fps", double{d.fps}},
                                                  {"negative_prompt", d.negative}}},
                        {"schedules", names},
                        {"samplers", ways},
                        {"recipes", whole},
                        {"stages", list(progress_stages)},
                        {"parts", part_table()},
                        {"types", list(conversion_types())},
                        {"variants", list(conversion_variants())},
                        {"instruction_sets", list(Device::instruction_sets())}};
}

} // namespace ltx2
