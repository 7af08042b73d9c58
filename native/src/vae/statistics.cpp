#include "vae/statistics.h"

namespace ltx2 {

static std::vector<float> read(const Part & part, const char * name, int64_t channels) {
    const auto found = part.tensors.find(name);
    if (found == part.tensors.end() || found->second.elements() != channels)
        fail(LTX2_STATUS_MODEL, "%s: tensor %s of %lld channels is missing",
             part.file->path.c_str(), name, static_cast<long long>(channels));
    check_type(found->second, name, channels);
    std::vector<float> values(static_cast<size_t>(channels));
    read_values(found->second, 0, channels, values.data());
    return values;
}

LatentStatistics::LatentStatistics(const Part & part, int64_t channels)
    : means_(read(part, "vae.per_channel_statistics.mean-of-means", channels)),
      deviations_(read(part, "vae.per_channel_statistics.std-of-means", channels)) {}

void LatentStatistics::restore(Latents & latents) const {
    for (size_t i = 0; i < latents.values.size(); ++i) {
        const size_t channel = i % means_.size();
        latents.values[i] = latents.values[i] * deviations_[channel] + means_[channel];
    }
}

void LatentStatistics::normalise(Latents & latents) const {
    for (size_t i = 0; i < latents.values.size(); ++i) {
        const size_t channel = i % means_.size();
        latents.values[i] = (latents.values[i] - means_[channel]) / deviations_[channel];
    }
}

} // namespace ltx2
