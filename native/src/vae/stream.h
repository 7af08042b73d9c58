// Layers in a row, run depth first: a layer takes a few frames and hands what they give to the next
// before it takes more. Memory is a few frames a layer, however long the video. A decoder's first
// stages, its head, have most of its weights and small frames: they run on the whole video before
// the others, so that the weights of both need not be in memory together.
#pragma once

#include "vae/layer_runs.h"

namespace ltx2 {

class VaeStream {
public:
    // `prefix` is "vae.encoder" or "vae.decoder". Errors: MODEL.
    VaeStream(Device & device, const Part & part, const std::string & prefix,
              const VaeConfig & config);

    uint64_t weights() const { return head_.size() + tail_.size(); } // bytes
    void load(const Progress & progress);                            // OUT_OF_MEMORY, CANCELLED

    // What leaves the last layer, F32 [channels, width, height, frames]; the tensor is the host's.
    // Nothing does while the device counts.
    using Sink = std::function<void(const std::vector<float> & values, Shape ne)>;
    // Progress is reported as `stage`, from 0 to `total`; null: it is not.
    struct Report {
        const Progress & progress;
        const char * stage;
        int total;
    };
    // `values` are all input frames, [channels, width, height, frames], which are not read while
    // the device counts. `window` is how many bytes
    // of frames one layer takes at once; 0: all. Errors: INVALID_ARGUMENT, OUT_OF_MEMORY,
    // CANCELLED.
    void run(const float * values, Shape ne, size_t window, const Report & report,
             const Sink & sink);
    // mean-of-means and std-of-means, one value per latent channel.
    const std::vector<float> & means() const { return means_; }
    const std::vector<float> & deviations() const { return deviations_; }

private:
    class Run;
    void use(Store & store, Store & other, const Progress & progress) const;

    Device & device_;
    const VaeConfig & config_;
    std::string prefix_;
    Store head_, tail_; // the head's weights and the others
    size_t head_layers_ = 0;
    Tensor mean_, deviation_;
    std::vector<VaeLayer> layers_;
    std::vector<float> means_, deviations_;
};

} // namespace ltx2
