// The diffusion transformer: latents, text features, sigma -> velocity. One graph a block, so that
// a block's activations are all the compute memory there is, and a caller can stop between blocks.
//
// Cost of one velocity: 48 blocks of 2 * 270 M * tokens FLOP and attention over tokens^2; the
// hidden state [width, tokens] F32 stays on the device between blocks.
#pragma once

#include "dit/block.h"
#include "sampling/denoise.h"
#include "sampling/text_features.h"

#include <memory>

namespace ltx2 {

class Dit {
public:
    static constexpr const char * part = "dit";

    // Checks the config and every tensor; reads no weights. MODEL.
    Dit(const Model & model, Device & device);

    const DitConfig & config() const { return config_; }
    uint64_t weights() const { return store_.size(); } // bytes
    void load(const Progress & progress);              // OUT_OF_MEMORY, CANCELLED

private:
    friend class DitRun;
    Device & device_;
    DitConfig config_;
    mutable Store store_;
    Linear patchify_proj_;
    AdaLayerNormSingle adaln_single_;
    std::unique_ptr<AdaLayerNormSingle> prompt_adaln_single_;
    std::vector<Block> blocks_;
    Tensor scale_shift_table_;
    Linear proj_out_;
};

// The passes over one video: what they keep on the device between steps. Dies before its Dit.
class DitRun {
public:
    // Where the tokens lie, the text of the plain pass, that of the negative one (null: no such
    // pass), and the blocks in which guidance perturbs (empty: no such pass). OUT_OF_MEMORY.
    DitRun(const Dit & dit, const std::vector<Position> & positions, const TextFeatures & text,
           const TextFeatures * negative, std::vector<int> stg_blocks);

    // Errors: OUT_OF_MEMORY, DEVICE, CANCELLED.
    Velocities velocity(const State & state, float sigma, const Progress & progress);

private:
    Kept keep(Shape ne, const float * values) const;
    void begin(const Stream & video, float sigma, const Progress & progress);
    void run_blocks(Kept & x, const Kept & context, int first, int last, bool perturbed,
                    const Progress & progress);
    std::vector<float> finish(const Kept & x, const Progress & progress);
    void copy(const Kept & from, Kept & to, const Progress & progress);

    const Dit & dit_;
    Device & device_;
    const DitConfig & config_;
    int64_t tokens_, timesteps_ = 0;
    std::vector<int> stg_blocks_;
    std::vector<int32_t> token_timestep_;
    // The hidden state: as a pass begins, as it runs, and before the first perturbed block.
    Kept start_, x_, shared_;
    Kept context_, negative_, cos_, sin_, rows_, embedded_, prompt_rows_, index_;
};

} // namespace ltx2
