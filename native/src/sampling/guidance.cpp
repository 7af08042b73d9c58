#include "sampling/guidance.h"

#include <algorithm>
#include <cmath>

namespace ltx2 {

static double deviation(const std::vector<float> & x) {
    double sum = 0, squares = 0;
    for (float v : x)
        sum += v;
    const double mean = sum / static_cast<double>(x.size());
    for (float v : x)
        squares += (v - mean) * (v - mean);
    return std::sqrt(squares / std::max(1.0, static_cast<double>(x.size()) - 1));
}

std::vector<float> guide(const Guidance & s, const Passes & p) {
    std::vector<float> out = p.plain;
    for (size_t i = 0; i < out.size(); ++i) {
        if (!p.negative.empty())
            out[i] += (s.scale - 1) * (p.plain[i] - p.negative[i]);
        if (!p.perturbed.empty())
            out[i] += s.stg * (p.plain[i] - p.perturbed[i]);
        if (!p.isolated.empty())
            out[i] += (s.modality - 1) * (p.plain[i] - p.isolated[i]);
    }
    if (s.rescale != 0 && !(p.negative.empty() && p.perturbed.empty() && p.isolated.empty())) {
        const double wanted = deviation(p.plain), have = deviation(out);
        const float factor =
            have > 0 ? static_cast<float>(s.rescale * wanted / have + 1 - s.rescale) : 1.0f;
        for (float & v : out)
            v *= factor;
    }
    return out;
}

} // namespace ltx2
