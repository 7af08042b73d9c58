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
#include <optional>

namespace ltx2 {

// From the text's rows to those that the blocks look at: GELU (tanh form) between two linears.
struct CaptionProjection {
    Linear linear_1, linear_2;

    CaptionProjection(const Weights & w, int64_t channels, int64_t width)
        : linear_1(w / "linear_1", channels, width), linear_2(w / "linear_2", width, width) {}
    Tensor operator()(Graph & g, Tensor text) const {
        return linear_2(g, linear_1(g, text, /*with_gelu=*/true));
    }
};

// What the transformer has for one modality outside its blocks.
struct DitStream {
    Linear patchify_proj;
    std::optional<CaptionProjection> caption_projection;
    AdaLayerNormSingle adaln_single;
    std::optional<AdaLayerNormSingle> prompt_adaln_single;
    Tensor scale_shift_table;
    Tensor keyframes_abs_pos_embedding = nullptr; // [width], where the model has one
    Linear proj_out;
    // For the attention between modalities: its rows, and the gate of what it takes over.
    std::optional<AdaLayerNormSingle> cross_rows, cross_gate;

    DitStream(const Weights & w, const DitConfig & c, const StreamConfig & s);
};

class Dit {
public:
    static constexpr const char * part = "dit";
    static constexpr const char * audio_part = "audio_dit";

    // Checks the config and every tensor; reads no weights. `with_audio`: the part that makes sound
    // too. MODEL.
    Dit(const Model & model, Device & device, bool with_audio = false);

    const DitConfig & config() const { return config_; }
    // Whether it tells what stands for one frame alone from the rest of the video.
    bool marks_single_frames() const { return streams_[0].keyframes_abs_pos_embedding; }
    uint64_t weights() const { return store_.size(); } // bytes
    void load(const Progress & progress);              // OUT_OF_MEMORY, CANCELLED

private:
    friend class DitRun;
    Device & device_;
    DitConfig config_;
    mutable Store store_;
    std::vector<DitStream> streams_; // the video's is the first
    std::vector<Block> blocks_;
};

// What a run reads of a modality: where its tokens lie, the text of the plain pass, that of the
// negative one (null: the same), and the blocks in which guidance perturbs it.
struct DitInput {
    const std::vector<Position> & positions;
    const TextFeatures & text;
    const TextFeatures * negative = nullptr;
    std::vector<int> stg_blocks = {};
    std::vector<TokenGroup> groups = {}; // of the tokens, for the attention over themselves
};

// The passes over one video: what they keep on the device between steps. Dies before its Dit. There
// is a negative pass where an input has such a text, a perturbed one where one has such blocks, and
// one in which no modality looks at the other where `isolates`.
class DitRun {
public:
    // One input, or two of a Dit with sound. OUT_OF_MEMORY, INVALID_ARGUMENT.
    DitRun(const Dit & dit, const std::vector<DitInput> & inputs, bool isolates = false);
    ~DitRun(); // after what the device still computes with it
    DitRun(const DitRun &) = delete;
    DitRun & operator=(const DitRun &) = delete;

    // Errors: OUT_OF_MEMORY, DEVICE, CANCELLED.
    Velocities velocity(const State & state, float sigma, const Progress & progress);

private:
    enum class Pass { plain, perturbed, negative, isolated };
    // A modality.
    struct Way {
        const DitStream * weights;
        const StreamConfig * config;
        int64_t tokens, timesteps = 0; // timesteps: how many are distinct
        std::vector<int> stg_blocks;
        std::vector<TokenGroup> groups;
        std::vector<int32_t> token_timestep;
        // The hidden state: as a pass begins, as it runs, and before the first perturbed block.
        Kept start, x, shared;
        Kept context, negative, cos, sin, rows, embedded, prompt_rows, index;
        Kept cross_rows, cross_cos, cross_sin;

        bool is_perturbed_in(int block) const;
    };
    Way way_of(const DitInput & input, size_t which) const;
    Kept keep(Shape ne, const float * values) const;
    Kept keep_text(const Way & way, const TextFeatures & text) const;
    void keep_angles(Way & way, const std::vector<Position> & positions, bool cross) const;
    void begin(Way & way, const Stream & stream, float sigma, float other_sigma,
               const Progress & progress);
    StreamInput input_of(const Way & way, Kept Way::*x, int block, Pass pass) const;
    void run_blocks(Kept Way::*x, int first, int last, Pass pass, const Progress & progress);
    std::vector<std::vector<float>> finish(Kept Way::*x, const Progress & progress);
    std::vector<float> finish(const Way & way, const Kept & x, const Progress & progress);
    void copy(Kept Way::*from, Kept Way::*to, const Progress & progress);

    const Dit & dit_;
    Device & device_;
    const DitConfig & config_;
    std::vector<Way> ways_;
    bool negates_, isolates_;
    int split_; // up to this block the perturbed pass is the plain one
};

} // namespace ltx2
