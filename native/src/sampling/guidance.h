// Guidance: what several passes of the model make of one prediction.
#pragma once

#include <vector>

namespace ltx2 {

struct Guidance {
    float scale = 3;      // classifier-free guidance; 1 is off
    float stg = 1;        // spatio-temporal guidance; 0 is off
    float rescale = 0.7f; // towards the plain prediction's standard deviation; 0 is off
    std::vector<int> stg_blocks = {28}; // of the DiT, whose self-attention STG perturbs

    bool uses_negative() const { return scale != 1; }
    bool uses_stg() const { return stg != 0 && !stg_blocks.empty(); }
};

// The guided x0 of the reference: plain + (scale-1)(plain-negative) + stg(plain-perturbed), then
// rescaled towards plain's standard deviation. Empty vectors leave their term out.
std::vector<float> guide(const Guidance & guidance, const std::vector<float> & plain,
                         const std::vector<float> & negative, const std::vector<float> & perturbed);

} // namespace ltx2
