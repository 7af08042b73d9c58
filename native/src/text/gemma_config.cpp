#include "text/gemma_config.h"

#include "base/utf8.h"
#include "files/config.h"
#include "files/paths.h"
#include "model/recognise.h"

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

// The same of google/gemma-4-12B-it.
constexpr const char * gemma4_12b_config = R"({
"model_type": "gemma4_unified", "text_config": {
  "hidden_size": 3840, "intermediate_size": 15360, "num_hidden_layers": 48,
  "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 256,
  "num_global_key_value_heads": 1, "global_head_dim": 512, "attention_k_eq_v": true,
  "rms_norm_eps": 1e-6, "sliding_window": 1024, "max_position_embeddings": 262144,
  "final_logit_softcapping": 30.0}
})";

// The key of a number in a GGUF file, and in a config.json.
struct Key {
    const char *gguf, *json;
};
using Kind = const char * Key::*; // of file
constexpr Key kv_heads = {"attention.head_count_kv", "num_key_value_heads"};
constexpr Key eps = {"attention.layer_norm_rms_epsilon", "rms_norm_eps"};
constexpr Key base = {"rope.freq_base", "rope_theta"};
constexpr Key logit_cap = {"final_logit_softcapping", "final_logit_softcapping"};
constexpr int most_heads = 1024, most_head_dim = 1024;

// From 1 to `most`; its default is the field's own, and where that is 0, it must be stated.
struct SizeKey {
    Key key;
    int GemmaConfig::*field;
    int most;
    const char * of = nullptr; // the architecture that has it; null: both
};
constexpr SizeKey sizes[] = {
    {{"context_length", "max_position_embeddings"}, &GemmaConfig::context, 1 << 30},
    {{"embedding_length", "hidden_size"}, &GemmaConfig::hidden, 1 << 16},
    {{"block_count", "num_hidden_layers"}, &GemmaConfig::layers, 512},
    {{"feed_forward_length", "intermediate_size"}, &GemmaConfig::ffn, 1 << 20},
    {{"attention.head_count", "num_attention_heads"}, &GemmaConfig::heads, most_heads},
    {kv_heads, &GemmaConfig::kv_heads, most_heads, "gemma3"},
    {{"attention.key_length", "head_dim"}, &GemmaConfig::head_dim, most_head_dim, "gemma3"},
    {{"attention.key_length_swa", "head_dim"}, &GemmaConfig::head_dim, most_head_dim, "gemma4"},
    {{"attention.key_length", "global_head_dim"},
     &GemmaConfig::global_head_dim,
     most_head_dim,
     "gemma4"},
    {{"attention.sliding_window", "sliding_window"}, &GemmaConfig::sliding_window, 1 << 30},
};
bool is_of(const SizeKey & size, const GemmaConfig & c) {
    return !size.of || size.of == c.architecture;
}
bool is_head_dim(const SizeKey & size) {
    return size.field == &GemmaConfig::head_dim || size.field == &GemmaConfig::global_head_dim;
}
// "attention.key_length" -> "attention.value_length", "rope.dimension_count"
std::string like(const SizeKey & size, const std::string & key) {
    const std::string from = "attention.key_length";
    return key + std::string(size.key.gguf).substr(from.size());
}

// What each number is called differs from file to file; its default and bounds do not.
double rope_base(const Config & k, const char * key) { return k.number(key, 1e6, 1, 1e12); }
double rope_base_local(const Config & k, const char * key) { return k.number(key, 1e4, 1, 1e12); }
double linear_factor(const Config & k, const char * key) { return k.number(key, 1, 1e-3, 1e6); }

GemmaConfig begin(bool is_gemma4) {
    GemmaConfig c;
    c.is_gemma4 = is_gemma4;
    if (!is_gemma4)
        return c;
    c.architecture = "gemma4";
    c.context = 1 << 18;
    c.global_head_dim = 512;
    c.rope_factor = 1;
    c.rotated = 0.25;
    c.scale = 1;
    return c;
}

void read_sizes(const Config & k, Kind kind, GemmaConfig & c) {
    for (const SizeKey & size : sizes) {
        if (!is_of(size, c))
            continue;
        const char * key = size.key.*kind;
        int & value = c.*size.field;
        value = value ? k.integer(key, value, 1, size.most) : k.integer(key, 1, size.most);
        if (is_head_dim(size) && value % 2)
            k.refuse(key, words("%d is odd", value));
    }
    if (!c.is_gemma4) {
        c.global_kv_heads = c.kv_heads;
        c.global_head_dim = c.head_dim;
    }
    c.eps = static_cast<float>(k.number(eps.*kind, 1e-6, 1e-12, 1));
    c.rope_base = rope_base(k, base.*kind);
    if (k.find("attn_logit_softcapping"))
        k.refuse("attn_logit_softcapping", "is not supported");
    if (c.is_gemma4)
        c.logit_cap = static_cast<float>(k.number(logit_cap.*kind, 0, 0, 1e6));
    else if (k.find(logit_cap.*kind))
        k.refuse(logit_cap.*kind, "is not supported");
}

// A kind that no layer is of has the sizes of the other.
void check_heads(const Config & k, const char * key, GemmaConfig & c) {
    const auto fill = [](int & a, int & b) { a = a ? a : b, b = b ? b : a; };
    fill(c.kv_heads, c.global_kv_heads);
    fill(c.head_dim, c.global_head_dim);
    for (const int heads : {c.kv_heads, c.global_kv_heads})
        if (c.heads % heads)
            k.refuse(key, words("%d heads cannot share %d", c.heads, heads));
}

// Every n-th layer is global.
void read_pattern(const Config & k, const char * key, GemmaConfig & c) {
    const int pattern = k.integer(key, 6, 1, 512);
    for (int i = 1; i <= c.layers; ++i)
        c.is_global.push_back(i % pattern == 0);
}

// A size of layer `i`, which all of its kind share; `local` and `global` are 0 until one is stated.
void put(const Config & k, const char * key, size_t i, int size, GemmaConfig & c,
         int GemmaConfig::*local, int GemmaConfig::*global) {
    int & kept = c.*(c.is_global[i] ? global : local);
    if (kept && kept != size)
        k.refuse(key, words("%d at layer %zu, and %d at others of its kind, which is not supported",
                            size, i, kept));
    kept = size;
}

// The values of an array with one for each layer.
Json::Array by_layer(const Config & k, const char * key, const GemmaConfig & c) {
    const Json::Array values = k.array(key);
    if (values.size() != static_cast<size_t>(c.layers))
        k.refuse(key, words("%zu entries for %d layers", values.size(), c.layers));
    return values;
}

// What other members of Gemma 4's family have.
void refuse_others(const Config & k, std::initializer_list<const char *> keys) {
    for (const char * key : keys)
        k.integer(key, 0, 0, 0);
}

void read_gemma4_layers(const Config & k, const Config & own, GemmaConfig & c) {
    const char * pattern = "attention.sliding_window_pattern";
    if (k.find(pattern))
        for (const Json & slides : by_layer(k, pattern, c))
            c.is_global.push_back(!slides.boolean(k.what(pattern)));
    else
        read_pattern(own, pattern, c);
    const char * key = kv_heads.gguf;
    const std::optional<Json> heads = k.find(key);
    if (!heads || heads->kind() != Json::Kind::array) {
        c.kv_heads = c.global_kv_heads = k.integer(key, 1, most_heads);
    } else {
        size_t i = 0;
        for (const Json & value : by_layer(k, key, c)) {
            const Config one(Json(Json::Object{{key, value}}), k.what(""));
            put(k, key, i++, one.integer(key, 1, most_heads), c, &GemmaConfig::kv_heads,
                &GemmaConfig::global_kv_heads);
        }
    }
    check_heads(k, key, c);
    refuse_others(
        k, {"attention.shared_kv_layers", "embedding_length_per_layer_input", "expert_count"});
    for (const SizeKey & size : sizes)
        if (is_of(size, c) && is_head_dim(size)) {
            const std::string rope = like(size, "rope.dimension_count");
            if (k.integer(rope.c_str(), c.*size.field, 0, INT32_MAX) != c.*size.field)
                k.refuse(rope.c_str(), std::string("differs from ") + size.key.gguf);
        }
    c.rope_base_local = rope_base_local(k, "rope.freq_base_swa");
    c.rotated = own.number("rope.partial_rotary_factor", 0.25, 0, 1);
    c.version = own.text("gemma_version", "");
}

void read_gemma3_layers(const Config & k, const Config & own, GemmaConfig & c) {
    check_heads(k, kv_heads.gguf, c);
    const std::string scaling = k.text("rope.scaling.type", "linear");
    if (scaling != "none")
        k.require("rope.scaling.type", "linear", "linear");
    const double factor = linear_factor(k, "rope.scaling.factor");
    c.rope_factor = scaling == "none" ? 1 : factor;
    c.rope_base_local = rope_base_local(own, "rope.freq_base_local");
    c.scale = static_cast<float>(1 / std::sqrt(double(c.head_dim)));
    read_pattern(own, "attention.sliding_window_pattern", c);
}

GemmaConfig from_gguf(const TensorFile & file) {
    const Config general(file.metadata, file.path + ": ", "general.");
    GemmaConfig c = begin(general.text("architecture", "gemma3") == "gemma4");
    const Config k(file.metadata, file.path + ": ", c.architecture + ".");
    const Config own(file.metadata, file.path + ": ", "ltx2.");
    read_sizes(k, &Key::gguf, c);
    for (const SizeKey & size : sizes)
        if (is_of(size, c) && is_head_dim(size)) {
            const std::string value = like(size, "attention.value_length");
            if (k.integer(value.c_str(), c.*size.field, 1, 4096) != c.*size.field)
                k.refuse(value.c_str(), std::string("differs from ") + size.key.gguf);
        }
    (c.is_gemma4 ? read_gemma4_layers : read_gemma3_layers)(k, own, c);
    c.scale = static_cast<float>(k.number("attention.scale", c.scale, 1e-6, 1e3));
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

// transformers 4 has rope_theta, rope_local_base_freq and rope_scaling; 5, and Gemma 4 always, has
// rope_parameters.
void read_rope(const Config & k, GemmaConfig & c) {
    c.rope_base_local = rope_base_local(k, "rope_local_base_freq");
    if (!c.is_gemma4)
        c.rope_factor = k.find("rope_scaling") ? rope_factor(k.at("rope_scaling")) : 1;
    if (!k.find("rope_parameters"))
        return;
    const Config kinds = k.at("rope_parameters");
    const Config global = kinds.at("full_attention"), local = kinds.at("sliding_attention");
    if (c.is_gemma4) {
        global.require("rope_type", "proportional", "proportional");
        global.number("factor", 1, 1, 1);
        c.rotated = global.number("partial_rotary_factor", 1, 0, 1);
    } else {
        c.rope_factor = rope_factor(global);
    }
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
    size_t i = 0;
    for (const Json & value : by_layer(k, "layer_types", c)) {
        const std::string_view kind = value.string(k.what("layer_types"));
        if (kind != "full_attention" && kind != "sliding_attention")
            k.refuse("layer_types", shown(kind) + " is not supported");
        c.is_global[i++] = kind == "full_attention";
    }
}

// Global layers have their own, as two numbers, or in newer files layer by layer.
void read_gemma4_heads(const Config & k, GemmaConfig & c) {
    const char *global = "num_global_key_value_heads", *layers = "per_layer_config";
    c.kv_heads = k.integer(kv_heads.json, 1, most_heads);
    c.global_kv_heads = k.flag("attention_k_eq_v", false)
                            ? k.integer(global, c.kv_heads, 1, most_heads)
                            : c.kv_heads;
    if (!k.find(layers))
        return;
    const int head_dim = c.head_dim;
    c.head_dim = c.kv_heads = c.global_head_dim = c.global_kv_heads = 0;
    const Config all = k.at(layers);
    for (size_t i = 0; i < c.is_global.size(); ++i) {
        const std::string name = std::to_string(i);
        const Config one = all.find(name.c_str()) ? all.at(name.c_str())
                                                  : Config(std::nullopt, k.what(layers) + ".");
        const int heads =
            one.integer(kv_heads.json, k.integer(kv_heads.json, 1, most_heads), 1, most_heads);
        const int dim = one.integer("head_dim", head_dim, 1, most_head_dim);
        if (dim % 2)
            one.refuse("head_dim", words("%d is odd", dim));
        put(k, layers, i, heads, c, &GemmaConfig::kv_heads, &GemmaConfig::global_kv_heads);
        put(k, layers, i, dim, c, &GemmaConfig::head_dim, &GemmaConfig::global_head_dim);
    }
}

void read_gemma4(const Config & k, GemmaConfig & c) {
    read_gemma4_heads(k, c);
    refuse_others(k, {"num_kv_shared_layers", "hidden_size_per_layer_input"});
    k.require_flag("enable_moe_block", false, false);
    k.require("use_bidirectional_attention", "vision", "vision"); // of pictures alone
}

GemmaConfig from_json(const Json & json, const std::string & path) {
    const Config whole(json, path + ": ");
    const Config k = whole.find("text_config") ? whole.at("text_config") : whole;
    GemmaConfig c = begin(whole.text("model_type", "").compare(0, 6, "gemma4") == 0);
    c.version = whole.text("gemma_version", "");
    read_sizes(k, &Key::json, c);
    k.require_flag("attention_bias", false, false);
    const char * gelu = "gelu_pytorch_tanh";
    for (const char * key : {"hidden_activation", "hidden_act"})
        k.require(key, gelu, gelu);
    read_rope(k, c);
    read_layer_kinds(k, c);
    if (c.is_gemma4) {
        read_gemma4(k, c);
    } else {
        const double scale = k.number("query_pre_attn_scalar", 256, 1e-3, 1e9);
        c.scale = static_cast<float>(1 / std::sqrt(scale));
        k.require_flag("use_bidirectional_attention", false, false);
    }
    check_heads(k, kv_heads.json, c);
    return c;
}

} // namespace

GemmaConfig gemma_config(const TensorFile & file) {
    const char * key = text_config_key(file);
    if (!key)
        return from_gguf(file);
    if (const std::optional<Json> stated = file.metadata.find(key)) {
        const std::string what = file.path + ": " + key;
        return from_json(Json::parse(stated->string(what), what), what);
    }
    if (file.find("spiece_model"))
        return from_json(Json::parse(gemma3_12b_config, "built-in"), file.path);
    if (file.find("tokenizer_json"))
        return from_json(Json::parse(gemma4_12b_config, "built-in"), file.path);
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
    const auto put = [&](const std::string & key, Json value) {
        metadata.set(c.architecture + "." + key, std::move(value));
    };
    for (const SizeKey & size : sizes) {
        if (!is_of(size, c))
            continue;
        put(size.key.gguf, c.*size.field);
        if (!is_head_dim(size))
            continue;
        put(like(size, "attention.value_length"), c.*size.field);
        if (c.is_gemma4)
            put(like(size, "rope.dimension_count"), c.*size.field);
    }
    put(eps.gguf, double{c.eps});
    put(base.gguf, c.rope_base);
    if (c.is_gemma4) {
        Json::Array heads, slides;
        for (size_t i = 0; i < c.is_global.size(); ++i) {
            heads.push_back(c.kv_heads_of(i));
            slides.push_back(!c.is_global[i]);
        }
        put(kv_heads.gguf, std::move(heads));
        put("attention.sliding_window_pattern", std::move(slides));
        put("rope.freq_base_swa", c.rope_base_local);
        put("attention.shared_kv_layers", 0);
        put("embedding_length_per_layer_input", 0);
        if (c.logit_cap > 0)
            put(logit_cap.gguf, double{c.logit_cap});
        // llama.cpp has it in a tensor, rope_freqs.weight
        metadata.set("ltx2.rope.partial_rotary_factor", c.rotated);
        if (!c.version.empty())
            metadata.set("ltx2.gemma_version", c.version);
    }
    if (c.rope_factor != 1) {
        put("rope.scaling.type", "linear");
        put("rope.scaling.factor", c.rope_factor);
    }
    if (c.is_gemma4)
        return;
    if (c.scale != static_cast<float>(1 / std::sqrt(double(c.head_dim))))
        put("attention.scale", double{c.scale});
    // llama.cpp has these two in its code; a file of another geometry must say them.
    metadata.set("ltx2.rope.freq_base_local", c.rope_base_local);
    metadata.set("ltx2.attention.sliding_window_pattern", pattern_of(c, what));
}

} // namespace ltx2
