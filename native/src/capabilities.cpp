#include "capabilities.h"

#include "base/progress.h"
#include "convert.h"
#include "kernels/variant.h"
#include "model/describe.h"
#include "sampling/schedules.h"

namespace ltx2 {

Json capabilities() {
    Json::Array names, stages, types, variants, sets;
    for (const Schedule & schedule : schedules())
        names.emplace_back(schedule.name);
    for (const char * stage : progress_stages)
        stages.emplace_back(stage);
    for (const std::string & type : conversion_types())
        types.emplace_back(type);
    for (const std::string & variant : conversion_variants())
        variants.emplace_back(variant);
    for (const kernels::Variant * set : kernels::variants())
        sets.emplace_back(set->name);
    Json out;
    out.set("version", Json(LTX2_VERSION));
    out.set("schedules", Json(std::move(names)));
    out.set("stages", Json(std::move(stages)));
    out.set("parts", part_table());
    out.set("types", Json(std::move(types)));
    out.set("variants", Json(std::move(variants)));
    out.set("instruction_sets", Json(std::move(sets)));
    return out;
}

} // namespace ltx2
