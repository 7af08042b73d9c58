// Every part's reading of its config; the input is the config's text.
#include "vae/config.h"
#include "dit/block.h"
#include "fuzz.h"
#include "model/model_folder.h"
#include "request.h"
#include "text/connector.h"
#include "text/gemma_config.h"

using namespace ltx2;

// Each kind of error is judged by itself: one part's refusal must not hide the next.
template <class Read>
static void part_of(Read read) {
    try {
        read();
    } catch (const Error & e) {
        if (e.status() == LTX2_STATUS_INTERNAL)
            throw;
    }
}

void run_target(const uint8_t * data, size_t size) {
    TensorFile file;
    file.path = "input";
    file.format = "GGUF v3";
    file.metadata = Json::parse(as_text(data, size), "input");
    Part part;
    part.file = &file;
    part.config = file.metadata;
    Scale scale{8, 32};
    part_of([&] { VaeConfig::encoder(part.group("vae")).check_sides(2, 2); });
    part_of([&] { scale = VaeConfig::decoder(part.group("vae")).scale; });
    part_of([&] { DitConfig dit(part, true); });
    part_of([&] { ConnectorConfig connector(part, ""); });
    part_of([&] { Defaults defaults(part, generations().front(), 48, scale); });
    gemma_config(file);
}

std::vector<std::string> seeds() {
    return {config, R"({"transformer": {"num_layers": 2, "num_attention_heads": 2,
        "attention_head_dim": 6, "in_channels": 4, "out_channels": 4, "cross_attention_dim": 12,
        "positional_embedding_max_pos": [20, 2048, 2048], "frequencies_precision": "float64",
        "apply_gated_attention": true, "connector_positional_embedding_max_pos": [4096],
        "connector_num_attention_heads": 2, "connector_attention_head_dim": 4},
      "vae": {"dims": 3, "latent_channels": 8, "patch_size": 4, "norm_layer": "pixel_norm",
        "latent_log_var": "uniform", "spatial_padding_mode": "zeros", "causal_decoder": false,
        "timestep_conditioning": false, "decoder_base_channels": 8,
        "encoder_blocks": [["res_x", {"num_layers": 1}], ["compress_space_res", {"multiplier": 2}],
          ["compress_all_res", {"multiplier": 2}], ["res_x_y", {"multiplier": 1}]],
        "decoder_blocks": [["res_x", {"num_layers": 1, "inject_noise": false}],
          ["compress_all", {"residual": true, "multiplier": 2}], ["compress_time", {}]]},
      "sampling": {"schedule": "ltx2", "steps": 4, "guidance": 3, "stg": 1, "rescale": 0.7,
        "stg_blocks": [1], "width": 64, "height": 64, "frames": 9, "fps": 24}})",
            R"({"gemma3.embedding_length": 8, "gemma3.block_count": 2,
        "gemma3.feed_forward_length": 16, "gemma3.attention.head_count": 4,
        "gemma3.attention.head_count_kv": 2, "gemma3.attention.key_length": 16,
        "gemma3.attention.value_length": 16, "gemma3.attention.sliding_window": 8,
        "gemma3.rope.scaling.factor": 8.0, "gemma3.rope.freq_base": 1e6,
        "ltx2.attention.sliding_window_pattern": 6, "ltx2.rope.freq_base_local": 1e4})",
            R"({"general.architecture": "gemma4", "gemma4.embedding_length": 8,
        "gemma4.block_count": 2, "gemma4.feed_forward_length": 16, "gemma4.attention.head_count": 4,
        "gemma4.attention.head_count_kv": [2, 1], "gemma4.attention.key_length": 16,
        "gemma4.attention.key_length_swa": 8, "gemma4.attention.sliding_window": 8,
        "gemma4.attention.sliding_window_pattern": [true, false],
        "gemma4.rope.dimension_count": 16, "gemma4.final_logit_softcapping": 30})"};
}

std::vector<std::string> worst_inputs() { return {}; }

std::vector<std::string> dictionary() {
    return {"null",
            "true",
            "false",
            "0",
            "-1",
            "2147483648",
            "1e300",
            "0.5",
            "\"\"",
            "[]",
            "{}",
            "\"reflect\"",
            "\"compress_all_res\"",
            "\"distilled\"",
            "\"per_channel\"",
            "[[\"res_x\", 64]]",
            "\"linear\"",
            "\"none\"",
            "\"\\u001b[31m\"",
            "\"\\n\""};
}
