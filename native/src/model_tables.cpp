#include "model_tables.h"

#include "config.h"

#include <cmath>
#include <filesystem>

namespace ltx2 {

const char * const ltx23_config = R"({
"transformer": {"num_layers": 48, "num_attention_heads": 32, "attention_head_dim": 128,
  "in_channels": 128, "out_channels": 128, "caption_channels": 3840, "cross_attention_dim": 4096,
  "norm_eps": 1e-6, "activation_fn": "gelu-approximate", "attention_bias": true,
  "norm_elementwise_affine": false, "qk_norm": "rms_norm", "standardization_norm": "rms_norm",
  "cross_attention_norm": true, "positional_embedding_type": "rope", "rope_type": "split",
  "frequencies_precision": "float64", "positional_embedding_theta": 10000.0,
  "positional_embedding_max_pos": [20, 2048, 2048], "use_middle_indices_grid": true,
  "timestep_scale_multiplier": 1000, "apply_gated_attention": true, "cross_attention_adaln": true,
  "connector_num_layers": 8, "connector_num_attention_heads": 32,
  "connector_attention_head_dim": 128, "connector_apply_gated_attention": true,
  "connector_positional_embedding_max_pos": [4096], "caption_proj_before_connector": true,
  "caption_projection_first_linear": false, "caption_projection_second_linear": false,
  "caption_proj_input_norm": false, "share_ff": false},
"vae": {"dims": 3, "in_channels": 3, "out_channels": 3, "latent_channels": 128, "patch_size": 4,
  "norm_layer": "pixel_norm", "latent_log_var": "uniform", "causal_decoder": false,
  "timestep_conditioning": false, "spatial_padding_mode": "zeros", "encoder_base_channels": 128,
  "decoder_base_channels": 128,
  "encoder_blocks": [["res_x", {"num_layers": 4}], ["compress_space_res", {"multiplier": 2}],
    ["res_x", {"num_layers": 6}], ["compress_time_res", {"multiplier": 2}],
    ["res_x", {"num_layers": 4}], ["compress_all_res", {"multiplier": 2}],
    ["res_x", {"num_layers": 2}], ["compress_all_res", {"multiplier": 1}],
    ["res_x", {"num_layers": 2}]],
  "decoder_blocks": [["res_x", {"num_layers": 4}], ["compress_space", {"multiplier": 2}],
    ["res_x", {"num_layers": 6}], ["compress_time", {"multiplier": 2}],
    ["res_x", {"num_layers": 4}], ["compress_all", {"multiplier": 1}],
    ["res_x", {"num_layers": 2}], ["compress_all", {"multiplier": 2}],
    ["res_x", {"num_layers": 2}]]}
})";

static void refuse_unknown(const GemmaConfig & c, const std::string & path) {
    const auto bad = [&](const char * what) {
        fail(LTX2_STATUS_MODEL, "%s: %s", path.c_str(), what);
    };
    if (c.heads % c.kv_heads)
        bad("the number of heads is no multiple of that of key-value heads");
    if (c.head_dim % 2)
        bad("the heads' width is odd");
    if (!(c.rope_base > 1 && c.rope_base_local > 1 && c.rope_factor > 0 && c.scale > 0 &&
          c.eps > 0))
        bad("a rotary base, the attention's scale or a norm's epsilon is out of range");
}

static void set_pattern(GemmaConfig & c, int64_t pattern) {
    c.sliding_window_pattern = static_cast<int>(pattern);
    for (int i = 0; i < c.layers; ++i)
        c.is_global.push_back((i + 1) % pattern == 0);
}

// Reading a GGUF's flat keys as the group they form.
static Json group_of(const Json & metadata, const std::string & prefix) {
    Json group{Json::Object()};
    for (const auto & item : metadata.object("metadata"))
        if (item.first.rfind(prefix, 0) == 0)
            group.set(item.first.substr(prefix.size()), item.second);
    Json all{Json::Object()};
    all.set("gemma3", group);
    return all;
}

static GemmaConfig from_gguf(const ModelFile & file) {
    const Json all = group_of(file.metadata, "gemma3."), own = group_of(file.metadata, "ltx2.");
    const Config k(all, "gemma3"), extra(own, "gemma3");
    GemmaConfig c;
    const auto number = [&](const char * key, int64_t most) {
        return static_cast<int>(k.integer(key, 0, 1, most));
    };
    c.layers = number("block_count", 512);
    c.hidden = number("embedding_length", 1 << 16);
    c.ffn = number("feed_forward_length", 1 << 20);
    c.heads = number("attention.head_count", 1024);
    c.kv_heads = static_cast<int>(k.integer("attention.head_count_kv", c.heads, 1, 1024));
    c.head_dim = static_cast<int>(k.integer("attention.key_length", c.hidden / c.heads, 2, 4096));
    c.sliding_window = static_cast<int>(k.integer("attention.sliding_window", 1024, 1, 1 << 30));
    c.eps = static_cast<float>(k.number("attention.layer_norm_rms_epsilon", 1e-6));
    c.scale = static_cast<float>(k.number("attention.scale", 1 / std::sqrt(double(c.head_dim))));
    c.rope_base = k.number("rope.freq_base", 1e6);
    c.rope_factor = k.number("rope.scaling.factor", 1);
    c.rope_base_local = extra.number("rope.freq_base_local", 1e4);
    set_pattern(c, extra.integer("attention.sliding_window_pattern", 6, 1, 512));
    return c;
}

static GemmaConfig from_config_json(const ModelFile & file) {
    const std::string path =
        (std::filesystem::path(file.path).parent_path() / "config.json").string();
    const Mapping mapping(path);
    const std::string_view bytes(reinterpret_cast<const char *>(mapping.data()), mapping.size());
    Json json = Json::parse(bytes, path);
    if (!json.find("text_config")) { // a text model alone: the same keys, one level up
        Json nested{Json::Object()};
        nested.set("text_config", json);
        json = nested;
    }
    const Config k(json, "text_config");
    GemmaConfig c;
    const auto number = [&](const char * key, int64_t most) {
        return static_cast<int>(k.integer(key, 0, 1, most));
    };
    for (const char * key : {"attn_logit_softcapping", "final_logit_softcapping"})
        if (k.has(key))
            fail(LTX2_STATUS_MODEL, "%s: %s is not supported", path.c_str(), key);
    c.layers = number("num_hidden_layers", 512);
    c.hidden = number("hidden_size", 1 << 16);
    c.ffn = number("intermediate_size", 1 << 20);
    c.heads = number("num_attention_heads", 1024);
    c.kv_heads = static_cast<int>(k.integer("num_key_value_heads", c.heads, 1, 1024));
    c.head_dim = static_cast<int>(k.integer("head_dim", 256, 2, 4096));
    c.sliding_window = static_cast<int>(k.integer("sliding_window", 4096, 1, 1 << 30));
    c.eps = static_cast<float>(k.number("rms_norm_eps", 1e-6));
    c.scale = static_cast<float>(1 / std::sqrt(k.number("query_pre_attn_scalar", 256)));
    c.rope_base = k.number("rope_theta", 1e6);
    c.rope_base_local = k.number("rope_local_base_freq", 1e4);
    const Json * text = json.find("text_config");
    const Json * scaling = text->find("rope_scaling");
    c.rope_factor = 1;
    if (scaling && scaling->kind() == Json::Kind::object) {
        const Config s(*text, "rope_scaling");
        s.require("rope_type", "linear", "linear");
        c.rope_factor = s.number("factor", 1);
    }
    const Json * kinds = text->find("layer_types");
    if (!kinds || kinds->kind() == Json::Kind::null) {
        set_pattern(c, k.integer("sliding_window_pattern", 6, 1, 512));
        return c;
    }
    for (const Json & kind : kinds->array(path + ": layer_types"))
        c.is_global.push_back(kind.string(path + ": layer_types") == "full_attention");
    if (c.is_global.size() != static_cast<size_t>(c.layers))
        fail(LTX2_STATUS_MODEL, "%s: layer_types has %zu entries for %d layers", path.c_str(),
             c.is_global.size(), c.layers);
    return c;
}

GemmaConfig gemma_config(const ModelFile & file, const Index & index) {
    GemmaConfig c =
        file.metadata.find("gemma3.block_count") ? from_gguf(file) : from_config_json(file);
    refuse_unknown(c, file.path);
    const auto table = index.find("token_embd.weight");
    if (table != index.end() && !table->second.info->shape.empty())
        c.vocabulary = table->second.info->shape[0];
    return c;
}

} // namespace ltx2
