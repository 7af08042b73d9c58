#include "text/gemma3_config.h"

#include "base/utf8.h"
#include "files/config.h"
#include "files/paths.h"

#include <algorithm>
#include <cmath>

namespace ltx2 {

namespace {

// config.json of google/gemma-3-12b-it, for single files that carry their tokenizer and no config.
constexpr const char * gemma3_12b_config = R"({
"model_type": "gemma3", "text_config": {
  "hidden_size": 3840, "intermediate_size": 15360, "num_hidden_layers": 48,
  "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 256,
  "query_pre_attn_scalar": 256, "rms_norm_eps": 1e-6, "sliding_window": 1024,
  "sliding_window_pattern": 6, "rope_theta": 1000000.0, "rope_local_base_freq": 10000.0,
  "rope_scaling": {"rope_type": "linear", "factor": 8.0}}
})";

// The key of a number in a GGUF file, and in a config.json.
struct Key {
    const char *gguf, *json;
};
using Kind = const char * Key::*; // of file
constexpr Key kv_heads = {"attention.head_count_kv", "num_key_value_heads"};
constexpr Key head_dim = {"attention.key_length", "head_dim"};
constexpr Key eps = {"attention.layer_norm_rms_epsilon", "rms_norm_eps"};
constexpr Key base = {"rope.freq_base", "rope_theta"};

// From 1 to `most`; its default is the field's own, and where that is 0, it must be stated.
struct Size {
    Key key;
    int GemmaConfig::*field;
    int most;
};
constexpr Size sizes[] = {
    {{"context_length", "max_position_embeddings"}, &GemmaConfig::context, 1 << 30},
    {{"embedding_length", "hidden_size"}, &GemmaConfig::hidden, 1 << 16},
    {{"block_count", "num_hidden_layers"}, &GemmaConfig::layers, 512},
    {{"feed_forward_length", "intermediate_size"}, &GemmaConfig::ffn, 1 << 20},
    {{"attention.head_count", "num_attention_heads"}, &GemmaConfig::heads, 1024},
    {kv_heads, &GemmaConfig::kv_heads, 1024},
    {head_dim, &GemmaConfig::head_dim, 1024},
    {{"attention.sliding_window", "sliding_window"}, &GemmaConfig::sliding_window, 1 << 30},
};

// What each number is called differs from file to file; its default and bounds do not.
double rope_base(const Config & k, const char * key) { return k.number(key, 1e6, 1, 1e12); }
double rope_base_local(const Config & k, const char * key) { return k.number(key, 1e4, 1, 1e12); }
double linear_factor(const Config & k, const char * key) { return k.number(key, 1, 1e-3, 1e6); }

GemmaConfig read_sizes(const Config & k, Kind kind) {
    GemmaConfig c;
    for (const Size & size : sizes) {
        const char * key = size.key.*kind;
        int & value = c.*size.field;
        value = value ? k.integer(key, value, 1, size.most) : k.integer(key, 1, size.most);
    }
    c.eps = static_cast<float>(k.number(eps.*kind, 1e-6, 1e-12, 1));
    c.rope_base = rope_base(k, base.*kind);
    if (c.heads % c.kv_heads)
        k.refuse(kv_heads.*kind, words("%d heads cannot share %d", c.heads, c.kv_heads));
    if (c.head_dim % 2)
        k.refuse(head_dim.*kind, words("%d is odd", c.head_dim));
    for (const char * key : {"attn_logit_softcapping", "final_logit_softcapping"})
        if (k.find(key))
            k.refuse(key, "is not supported");
    return c;
}

// Every n-th layer is global.
void read_pattern(const Config & k, const char * key, GemmaConfig & c) {
    const int pattern = k.integer(key, 6, 1, 512);
    for (int i = 1; i <= c.layers; ++i)
        c.is_global.push_back(i % pattern == 0);
}

GemmaConfig from_gguf(const TensorFile & file) {
    const Config k(file.metadata, file.path + ": ", "gemma3.");
    const Config own(file.metadata, file.path + ": ", "ltx2.");
    GemmaConfig c = read_sizes(k, &Key::gguf);
    if (k.integer("attention.value_length", c.head_dim, 1, 4096) != c.head_dim)
        k.refuse("attention.value_length", "differs from attention.key_length");
    c.scale = static_cast<float>(
        k.number("attention.scale", 1 / std::sqrt(double(c.head_dim)), 1e-6, 1e3));
    const std::string scaling = k.text("rope.scaling.type", "linear");
    if (scaling != "none")
        k.require("rope.scaling.type", "linear", "linear");
    const double factor = linear_factor(k, "rope.scaling.factor");
    c.rope_factor = scaling == "none" ? 1 : factor;
    c.rope_base_local = rope_base_local(own, "rope.freq_base_local");
    read_pattern(own, "attention.sliding_window_pattern", c);
    return c;
}

// The factor of the global layers' positions; only what transformers calls linear, or none.
double rope_factor(const Config & k) {
    const std::string kind = k.text("rope_type", k.text("type", "default"));
    if (kind != "linear" && kind != "default")
        k.refuse("rope_type", shown(kind) + " is not supported; linear is");
    if (kind == "linear" && !k.find("factor"))
        k.refuse("factor", "is missing");
    return kind == "linear" ? linear_factor(k, "factor") : 1;
}

// transformers 4 has rope_theta, rope_local_base_freq and rope_scaling; 5 has rope_parameters.
void read_rope(const Config & k, GemmaConfig & c) {
    c.rope_base_local = rope_base_local(k, "rope_local_base_freq");
    c.rope_factor = k.find("rope_scaling") ? rope_factor(k.at("rope_scaling")) : 1;
    if (!k.find("rope_parameters"))
        return;
    const Config kinds = k.at("rope_parameters");
    const Config global = kinds.at("full_attention"), local = kinds.at("sliding_attention");
    c.rope_factor = rope_factor(global);
    if (rope_factor(local) != 1)
        kinds.refuse("sliding_attention", "is scaled, which is not supported");
    c.rope_base = rope_base(global, "rope_theta");
    c.rope_base_local = rope_base_local(local, "rope_theta");
}

void read_layer_kinds(const Config & k, GemmaConfig & c) {
    const char * pattern =
        k.find("sliding_window_pattern") ? "sliding_window_pattern" : "_sliding_window_pattern";
    read_pattern(k, pattern, c);
    if (!k.find("layer_types"))
        return;
    const Json::Array values = k.array("layer_types");
    if (values.size() != static_cast<size_t>(c.layers))
        k.refuse("layer_types", words("%zu entries for %d layers", values.size(), c.layers));
    size_t i = 0;
    for (const Json & value : values) {
        const std::string_view kind = value.string(k.what("layer_types"));
        if (kind != "full_attention" && kind != "sliding_attention")
            k.refuse("layer_types", shown(kind) + " is not supported");
        c.is_global[i++] = kind == "full_attention";
    }
}

GemmaConfig from_json(const Json & json, const std::string & path) {
    const Config whole(json, path + ": ");
    const Config k = whole.find("text_config") ? whole.at("text_config") : whole;
    GemmaConfig c = read_sizes(k, &Key::json);
    c.scale = static_cast<float>(1 / std::sqrt(k.number("query_pre_attn_scalar", 256, 1e-3, 1e9)));
    for (const char * key : {"attention_bias", "use_bidirectional_attention"})
        k.require_flag(key, false, false);
    const char * gelu = "gelu_pytorch_tanh";
    for (const char * key : {"hidden_activation", "hidden_act"})
        k.require(key, gelu, gelu);
    read_rope(k, c);
    read_layer_kinds(k, c);
    return c;
}

} // namespace

GemmaConfig gemma_config(const TensorFile & file) {
    if (file.is_gguf())
        return from_gguf(file);
    if (file.find("spiece_model"))
        return from_json(Json::parse(gemma3_12b_config, "built-in"), file.path);
    const std::string path = next_to(file.path, "config.json");
    if (!exists(path))
        fail(LTX2_STATUS_MODEL, "%s: there is no config.json next to it", file.path.c_str());
    return from_json(read_json(path), path);
}

// The n of a GGUF, which has one for all layers.
static int pattern_of(const GemmaConfig & c, const std::string & what) {
    const auto first = std::find(c.is_global.begin(), c.is_global.end(), true);
    const int pattern = static_cast<int>(first - c.is_global.begin()) + 1;
    for (int i = 0; i < c.layers; ++i)
        if (c.is_global[static_cast<size_t>(i)] != ((i + 1) % pattern == 0))
            fail(LTX2_STATUS_MODEL, "%s: its global layers are no repeated pattern", what.c_str());
    return pattern;
}

void put_gguf_keys(const GemmaConfig & c, const std::string & what, Json & metadata) {
    const auto put = [&](const char * key, Json value) {
        metadata.set(std::string("gemma3.") + key, std::move(value));
    };
    for (const Size & size : sizes) {
        put(size.key.gguf, c.*size.field);
        if (size.field == &GemmaConfig::head_dim)
            put("attention.value_length", c.head_dim);
    }
    put(eps.gguf, double{c.eps});
    put(base.gguf, c.rope_base);
    if (c.rope_factor != 1) {
        put("rope.scaling.type", "linear");
        put("rope.scaling.factor", c.rope_factor);
    }
    if (c.scale != static_cast<float>(1 / std::sqrt(double(c.head_dim))))
        put("attention.scale", double{c.scale});
    // llama.cpp has these two in its code; a file of another geometry must say them.
    metadata.set("ltx2.rope.freq_base_local", c.rope_base_local);
    metadata.set("ltx2.attention.sliding_window_pattern", pattern_of(c, what));
}

} // namespace ltx2
