// How the latents that the DiT denoises differ from those of the VAE: by a mean and a deviation for
// each channel.
#pragma once

#include "graph/weights.h"
#include "sampling/latents.h"

namespace ltx2 {

class LatentStatistics {
public:
    // Reads them. MODEL.
    LatentStatistics(const Part & part, int64_t channels);

    void restore(Latents & latents) const;   // normalised -> as the VAE has them
    void normalise(Latents & latents) const; // and back

private:
    std::vector<float> means_, deviations_;
};

} // namespace ltx2
