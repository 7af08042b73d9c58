#include "capabilities.h"

#include "base/named.h"
#include "base/progress.h"
#include "convert.h"
#include "graph/driver.h"
#include "graph/trial.h"
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

static Json memory(size_t bytes) { return bytes ? Json(static_cast<double>(bytes)) : Json(); }

static Json device(const std::string & name) {
    const ggml_backend_dev_t found = ggml_backend_dev_by_name(name.c_str());
    const auto [free, total] = memory_of(found);
    const auto type = ggml_backend_dev_type(found);
    const std::string driver = driver_of(found);
    const Trial trial = try_device(name, 0);
    return Json::Object{{"name", name},
                        {"description", ggml_backend_dev_description(found)},
                        {"kind", type == GGML_BACKEND_DEVICE_TYPE_CPU   ? "cpu"
                                 : type == GGML_BACKEND_DEVICE_TYPE_GPU ? "gpu"
                                                                        : "integrated"},
                        {"library", ggml_backend_reg_name(ggml_backend_dev_backend_reg(found))},
                        {"driver", driver.empty() ? Json() : Json(driver)},
                        {"memory", memory(total)},
                        {"memory_free", memory(free)},
                        {"speed", trial.speed},
                        {"error", trial.error},
                        {"lacks", list(trial.lacks)},
                        {"problem", trial.problem.empty() ? Json() : Json(trial.problem)}};
}

Json try_devices() {
    Json::Array all;
    for (const std::string & name : Device::names())
        all.push_back(device(name));
    return all;
}

Json capabilities() {
    const Defaults d;
    return Json::Object{{"version", LTX2_VERSION},
                        {"defaults", Json::Object{{"width", d.width},
                                                  {"height", d.height},
                                                  {"frames", d.frames},
                                                  {"fps", double{d.fps}},
                                                  {"negative_prompt", d.negative}}},
                        {"schedules", list(names_of(schedules()))},
                        {"samplers", list(names_of(samplers()))},
                        {"recipes", list(names_of(recipes()))},
                        {"stages", list(progress_stages)},
                        {"parts", part_table()},
                        {"types", list(conversion_types())},
                        {"variants", list(conversion_variants())},
                        {"instruction_sets", list(Device::instruction_sets())}};
}

} // namespace ltx2
