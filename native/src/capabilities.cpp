#include "capabilities.h"

#include "base/progress.h"
#include "convert.h"
#include "graph/device.h"
#include "model/describe.h"
#include "sampling/schedules.h"

namespace ltx2 {

static Json list(const std::vector<std::string> & names) {
    return Json(Json::Array(names.begin(), names.end()));
}

Json capabilities() {
    std::vector<std::string> names;
    for (const Schedule & schedule : schedules())
        names.emplace_back(schedule.name);
    Json out;
    out.set("version", Json(LTX2_VERSION));
    out.set("schedules", list(names));
    out.set("stages", list({std::begin(progress_stages), std::end(progress_stages)}));
    out.set("parts", part_table());
    out.set("types", list(conversion_types()));
    out.set("variants", list(conversion_variants()));
    out.set("instruction_sets", list(Device::instruction_sets()));
    return out;
}

} // namespace ltx2
