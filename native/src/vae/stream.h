// Layers in a row, run depth first: a layer takes a few frames and hands what they give to the next
// before it takes more. Memory is a few frames a layer, however long the video.
#pragma once

#include "vae/layers.h"

namespace ltx2 {

constexpr size_t default_window = size_t{16} << 20; // bytes of frames a layer takes at once

class VaeStream {
public:
    // What leaves the last layer, F32 [channels, width, height, frames]; the tensor is the host's.
    using Sink = std::function<void(const std::vector<float> & values, Shape ne)>;

    // `prefix` is "vae.encoder" or "vae.decoder". Errors: MODEL.
    VaeStream(Device & device, const Part & part, const std::string & prefix,
              const VaeConfig & config);

    // Errors: OUT_OF_MEMORY, CANCELLED.
    void load(const Progress & progress);
    // What is told while it works: so many of `total`, as `stage` (null: nothing is told).
    struct Report {
        const Progress & progress;
        const char * stage;
        int total;
    };
    // `values` are all input frames, [channels, width, height, frames]. `window` is how many bytes
    // of frames one layer takes at once; 0: all. Errors: INVALID_ARGUMENT, OUT_OF_MEMORY,
    // CANCELLED.
    void run(const float * values, Shape ne, size_t window, const Report & report,
             const Sink & sink);
    // mean-of-means and std-of-means, one of each a latent channel.
    const std::vector<float> & means() const { return means_; }
    const std::vector<float> & deviations() const { return deviations_; }

private:
    struct Link {
        VaeLayer layer;
        int64_t window; // frames at once
        double work;    // of one frame
        Kept out;
    };
    void prepare(Shape ne, size_t window);
    void release(); // what one run needs
    void push(size_t index, Tensor frames, int64_t first, int64_t count, bool last);
    int64_t step(Link & link, Tensor frames, int64_t first, int64_t count, bool last);

    Device & device_;
    const VaeConfig & config_;
    std::string prefix_;
    Store store_;
    Tensor mean_, deviation_;
    std::vector<Link> links_;
    std::vector<float> means_, deviations_;
    const Report * report_ = nullptr;
    double work_ = 0, done_ = 0; // of a run: all of it, and so far
    const Sink * sink_ = nullptr;
};

} // namespace ltx2
