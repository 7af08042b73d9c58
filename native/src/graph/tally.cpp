#include "graph/tally.h"

#include <algorithm>
#include <cstring>

namespace ltx2 {

static const char * activations_name(int activations) {
    switch (static_cast<Activations>(activations)) {
    case Activations::f32:
        return " 32-bit";
    case Activations::bits16:
        return " 16-bit";
    case Activations::bits8:
        return " 8-bit";
    }
    return "";
}

std::string Work::name() const {
    const std::string weights = ggml_type_name(static_cast<ggml_type>(type));
    switch (kind) {
    case unpack:
        return "unpack " + weights + activations_name(detail);
    case multiply:
        return "multiply " + weights + activations_name(detail);
    case attend:
        return detail ? "attend bf16" : "attend f32";
    case convolve:
        return "convolve " + weights + " " + std::to_string(detail);
    case move:
        return "move";
    case start:
        break;
    }
    return "start";
}

void Tally::begin(const char * stage) {
    if (std::strcmp(stage, "load") == 0 || (!stages.empty() && stages.back().name == stage))
        return;
    stages.emplace_back();
    stages.back().name = stage;
}

void Tally::use(size_t bytes, size_t scratch_bytes) {
    values = std::max(values, bytes);
    scratch = std::max(scratch, scratch_bytes);
    if (stages.empty())
        return;
    Stage & now = stages.back();
    now.mapped = std::max(now.mapped, mapped);
    if (held() > now.own())
        now.copied = copied, now.activations = held() - copied;
}

void Tally::add(const Work & work, double amount) {
    if (!stages.empty())
        stages.back().work[work] += amount * times;
}

size_t Tally::own() const {
    size_t most = 0;
    for (const Stage & stage : stages)
        most = std::max(most, stage.own());
    return most;
}

} // namespace ltx2
