#include "model/builtin/generations.h"

#include "base/error.h"

#include <cstdlib>

namespace ltx2 {

static const char * const ltx20_differs = R"({
"transformer": {"apply_gated_attention": null, "cross_attention_adaln": null,
  "connector_num_layers": 2, "connector_num_attention_heads": 30,
  "connector_apply_gated_attention": null, "caption_proj_before_connector": null,
  "caption_projection_first_linear": null, "caption_projection_second_linear": null,
  "caption_proj_input_norm": null, "audio_connector_num_attention_heads": null,
  "audio_connector_attention_head_dim": null},
"vae": {"spatial_padding_mode": null,
  "encoder_blocks": [["res_x", {"num_layers": 4}], ["compress_space_res", {"multiplier": 2}],
    ["res_x", {"num_layers": 6}], ["compress_time_res", {"multiplier": 2}],
    ["res_x", {"num_layers": 6}], ["compress_all_res", {"multiplier": 2}],
    ["res_x", {"num_layers": 2}], ["compress_all_res", {"multiplier": 2}],
    ["res_x", {"num_layers": 2}]],
  "decoder_blocks": [["res_x", {"num_layers": 5}],
    ["compress_all", {"residual": true, "multiplier": 2}], ["res_x", {"num_layers": 5}],
    ["compress_all", {"residual": true, "multiplier": 2}], ["res_x", {"num_layers": 5}],
    ["compress_all", {"residual": true, "multiplier": 2}], ["res_x", {"num_layers": 5}]]},
"vocoder": {"vocoder": null, "bwe": null, "resblock": "1", "stereo": true,
  "upsample_initial_channel": 1024, "upsample_rates": [6, 5, 2, 2, 2],
  "upsample_kernel_sizes": [16, 15, 8, 4, 4], "resblock_kernel_sizes": [3, 7, 11],
  "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5], [1, 3, 5]], "output_sampling_rate": 24000}
})";

static const char * const ltx25_differs = R"({
"transformer": {"ff_bias": false, "use_keyframes_abs_pos_embedding": true},
"vae": {"model_output_type": "x0",
  "decoder": {"in_channels": 128, "out_channels": 3, "patch_size": 4, "head_dim": 64,
    "stage_channels": [2048, 1024, 512, 512, 256], "stage_depths": [4, 6, 4, 2, 8],
    "stage_kernels": [[3, 7, 7], [3, 7, 7], [3, 5, 5], [3, 5, 5]], "stage5_kernel": [11, 11, 11],
    "upsamples": [[[1, 2, 2], 2], [[2, 1, 1], 2], [[2, 2, 2], 1], [[2, 2, 2], 2]],
    "t_emb_dim": 384, "timestep_scale_multiplier": 1000.0, "default_num_inference_steps": 1}}
})";

const std::vector<Generation> & generations() {
    static const char * const gemma3 = "Gemma 3 12B";
    static const char * const gemma4 = "LTX-2.5's own Gemma 4 12B";
    using Names = std::vector<const char *>;
    static const Names called20 = {"ltx-2-19b", "ltx2-19b", "ltxv-2-19b", "ltx-2.0"};
    static const Names called23 = {"ltx-2.3", "ltx2.3", "ltx23"};
    static const Names called25 = {"ltx-2.5", "ltx2.5", "ltx25"};
    static const std::vector<Generation> all = {
        {"LTX-2.0", ltx_2_0, 200, ltx20_differs, 40, 29, "euler", 33, gemma3,
         "ltx-2-19b-distilled-lora-384", called20},
        {"LTX-2.3", ltx_2_3, 203, "{}", 30, 28, "euler", 33, gemma3,
         "ltx-2.3-22b-distilled-lora-384", called23},
        {"LTX-2.5", ltx_2_5, 204, ltx25_differs, 30, 28, "ancestral_euler", 18, gemma4,
         "ltx-2.5-22b-distilled-lora-450", called25},
    };
    return all;
}

// Of the first one that is not known.
static constexpr int next_version = 206;

const Generation & newest(Generations some) {
    const std::vector<Generation> & all = generations();
    for (size_t i = all.size(); i-- > 0;)
        if (all[i].bit & some)
            return all[i];
    return all.back();
}

std::string names_of(Generations some) {
    std::string names;
    for (const Generation & generation : generations()) {
        const bool last = some == generation.bit;
        if (generation.bit & some)
            names += (names.empty() ? "" : last ? " or " : ", ") + std::string(generation.name);
        some &= ~generation.bit;
    }
    return names;
}

Generations generation_of(const std::string & model_version) {
    char * rest = nullptr;
    const long major = std::strtol(model_version.c_str(), &rest, 10);
    const long minor = *rest == '.' || *rest == '-' ? std::strtol(rest + 1, nullptr, 10) : 0;
    if (major < 0 || major > 99 || minor < 0 || minor > 99 || major * 100 + minor >= next_version)
        return 0;
    Generations found = 0;
    for (const Generation & generation : generations())
        if (generation.since <= major * 100 + minor)
            found = generation.bit;
    return found;
}

// Of objects the keys, one by one; a null removes.
static Json merged(const Json & whole, const Json & differs, const char * what) {
    if (whole.kind() != Json::Kind::object || differs.kind() != Json::Kind::object)
        return differs;
    Json all = Json::Object();
    for (const auto & [key, value] : whole.object(what)) {
        const std::optional<Json> other = differs.find(key);
        if (!other)
            all.set(key, value);
        else if (other->kind() != Json::Kind::null)
            all.set(key, merged(value, *other, what));
    }
    for (const auto & [key, value] : differs.object(what))
        if (!whole.find(key) && value.kind() != Json::Kind::null)
            all.set(key, value);
    return all;
}

Json usual_config(const Generation & generation) {
    const char * what = "the built-in config";
    return merged(Json::parse(ltx23_config, what), Json::parse(generation.config, what), what);
}

static std::string distilled_sampling(const Generation &) {
    return R"({"schedule": "distilled", "steps": 8, "guidance": 1.0, "stg": 0.0, )"
           R"("rescale": 0.0, "stg_blocks": []})";
}

static std::string dev_sampling(const Generation & generation) {
    return words(R"({"schedule": "ltx2", "steps": %d, "guidance": 3.0, "stg": 1.0, )"
                 R"("rescale": 0.7, "stg_blocks": [%d]})",
                 generation.steps, generation.stg_block);
}

const std::vector<Variant> & variants() {
    static const std::vector<Variant> both = {{"distilled", distilled_sampling},
                                              {"dev", dev_sampling}};
    return both;
}

} // namespace ltx2
