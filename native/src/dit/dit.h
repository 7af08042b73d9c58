// The diffusion transformer: latents, text features, sigma -> velocity. One graph a block, so that
// a block's activations are all the compute memory there is, and a caller can stop between blocks.
//
// Cost of one velocity: 48 blocks of 2 * 270 M * tokens FLOP and attention over tokens^2; the
// hidden state [width, tokens] F32 stays on the device between blocks.
#pragma once

#include "dit/block.h"
#include "dit/positions.h"
#include "sampling/denoise.h"

#include <memory>

namespace ltx2 {

class Dit {
public:
    Dit(Device & device, const Index & index, const Json & config, const Progress & progress);

    const DitConfig & config() const { return config_; }

    // Says where the tokens lie, which text belongs to the plain and to the negative pass (empty:
    // no such pass; [rows][width] each), and in which blocks guidance perturbs (empty: no such
    // pass).
    void prepare(const std::vector<Position> & positions, const std::vector<float> & text,
                 const std::vector<float> & negative, std::vector<int> stg_blocks);
    Velocities velocity(const State & state, float sigma, const Progress & progress);

private:
    void begin(const State & state, float sigma, const Progress & progress);
    void run_blocks(Kept & x, const Kept & context, int first, int last, bool perturbed,
                    const Progress & progress);
    std::vector<float> finish(const Kept & x, const Progress & progress);
    void copy(const Kept & from, Kept & to, const Progress & progress);
    Modulation modulation() const;

    Device & device_;
    DitConfig config_;
    Store store_;
    Linear patchify_proj_;
    AdaLayerNormSingle adaln_single_;
    std::unique_ptr<AdaLayerNormSingle> prompt_adaln_single_;
    std::vector<Block> blocks_;
    Tensor scale_shift_table_;
    Linear proj_out_;

    int64_t tokens_ = 0, timesteps_ = 0;
    std::vector<int> stg_blocks_;
    bool has_negative_ = false;
    std::vector<int32_t> token_timestep_;
    // The hidden state: as a pass begins, as it runs, and before the first perturbed block.
    Kept start_, x_, shared_;
    Kept context_, negative_, cos_, sin_, rows_, embedded_, prompt_rows_, index_;
};

} // namespace ltx2
