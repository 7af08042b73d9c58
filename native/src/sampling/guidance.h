// Guidance: what several passes of the model make of one prediction.
#pragma once

#include <vector>

namespace ltx2 {

struct Guidance {
    float scale = 3;      // classifier-free guidance; 1 is off
    float stg = 1;        // spatio-temporal guidance; 0 is off
    float rescale = 0.7f; // towards the plain prediction's standard deviation; 0 is off
    std::vector<int> stg_blocks = {28}; // of the DiT, whose self-attention STG perturbs
    float modality = 1;                 // away from what it is without the other modality; 1 is off

    bool uses_negative() const { return scale != 1; }
    bool uses_stg() const { return stg != 0 && !stg_blocks.empty(); }
    bool uses_isolated() const { return modality != 1; }
};

// What one modality's passes predict; `plain` always.
struct Passes {
    std::vector<float> plain, negative, perturbed, isolated;
};

// The guided x0 of the reference: plain + (scale-1)(plain-negative) + stg(plain-perturbed) +
// (modality-1)(plain-isolated), then rescaled towards plain's standard deviation. Empty vectors
// leave their term out.
std::vector<float> guide(const Guidance & guidance, const Passes & passes);

} // namespace ltx2
