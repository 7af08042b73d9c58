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

std::vector<float> guide(const Guidance & s, const std::vector<float> & plain,
                         const std::vector<float> & negative,
                         const std::vector<float> & perturbed) {
    std::vector<float> out = plain;
    for (size_t i = 0; i < out.size(); ++i) {
        if (!negative.empty())
            out[i] += (s.scale - 1) * (plain[i] - negative[i]);
        if (!perturbed.empty())
            out[i] += s.stg * (plain[i] - perturbed[i]);
    }
    if (s.rescale != 0 && (!negative.empty() || !perturbed.empty())) {
        const double wanted = deviation(plain), have = deviation(out);
        const float factor =
            have > 0 ? static_cast<float>(s.rescale * wanted / have + 1 - s.rescale) : 1.0f;
        for (float & v : out)
            v *= factor;
    }
    return out;
}

} // namespace ltx2
