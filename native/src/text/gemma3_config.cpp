#include "text/gemma3_config.h"

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

// The keys of either kind of file for the same numbers.
struct Spelling {
    const char *context, *hidden, *layers, *ffn, *heads, *kv_heads, *head_dim, *window, *eps, *base;
};
constexpr Spelling llama = {
    "context_length",       "embedding_length",         "block_count",
    "feed_forward_length",  "attention.head_count",     "attention.head_count_kv",
    "attention.key_length", "attention.sliding_window", "attention.layer_norm_rms_epsilon",
    "rope.freq_base"};
constexpr Spelling hugging_face = {"max_position_embeddings",
                                   "hidden_size",
                                   "num_hidden_layers",
                                   "intermediate_size",
                                   "num_attention_heads",
                                   "num_key_value_heads",
                                   "head_dim",
                                   "sliding_window",
                                   "rms_norm_eps",
                                   "rope_theta"};

// What each number is called differs from file to file; its default and bounds do not.
double rope_base(const Config & k, const char * key) { return k.number(key, 1e6, 1, 1e12); }
double rope_base_local(const Config & k, const char * key) { return k.number(key, 1e4, 1, 1e12); }
double linear_factor(const Config & k, const char * key) { return k.number(key, 1, 1e-3, 1e6); }

GemmaConfig sizes(const Config & k, const Spelling & s) {
    GemmaConfig c;
    c.context = k.integer(s.context, 1 << 17, 1, 1 << 30);
    c.layers = k.integer(s.layers, 1, 512);
    c.hidden = k.integer(s.hidden, 1, 1 << 16);
    c.ffn = k.integer(s.ffn, 1, 1 << 20);
    c.heads = k.integer(s.heads, 1, 1024);
    c.kv_heads = k.integer(s.kv_heads, 1, 1024);
    c.head_dim = k.integer(s.head_dim, 256, 2, 1024);
    c.sliding_window = k.integer(s.window, 1, 1 << 30);
    c.eps = static_cast<float>(k.number(s.eps, 1e-6, 1e-12, 1));
    c.rope_base = rope_base(k, s.base);
    if (c.heads % c.kv_heads)
        k.refuse(s.kv_heads, words("%d heads cannot share %d", c.heads, c.kv_heads));
    if (c.head_dim % 2)
        k.refuse(s.head_dim, words("%d is odd", c.head_dim));
    return c;
}

int read_pattern(const Config & k, const char * key) { return k.integer(key, 6, 1, 512); }

void set_pattern(GemmaConfig & c, int pattern) {
    for (int i = 1; i <= c.layers; ++i)
        c.is_global.push_back(i % pattern == 0);
}

GemmaConfig from_gguf(const TensorFile & file) {
    const Config k(&file.metadata, file.path + ": ", "gemma3.");
    const Config own(&file.metadata, file.path + ": ", "ltx2.");
    GemmaConfig c = sizes(k, llama);
    if (k.integer("attention.value_length", c.head_dim, 1, 4096) != c.head_dim)
        k.refuse("attention.value_length", "differs from attention.key_length");
    c.scale = static_cast<float>(
        k.number("attention.scale", 1 / std::sqrt(double(c.head_dim)), 1e-6, 1e3));
    const std::string scaling = k.text("rope.scaling.type", "linear");
    if (scaling != "linear" && scaling != "none")
        k.refuse("rope.scaling.type", scaling + " is not supported; linear is");
    const double factor = linear_factor(k, "rope.scaling.factor");
    c.rope_factor = scaling == "none" ? 1 : factor;
    c.rope_base_local = rope_base_local(own, "rope.freq_base_local");
    for (const char * key : {"attn_logit_softcapping", "final_logit_softcapping"})
        if (k.find(key))
            k.refuse(key, "is not supported");
    set_pattern(c, read_pattern(own, "attention.sliding_window_pattern"));
    return c;
}

// The factor of the global layers' positions; only what transformers calls linear, or none.
double rope_factor(const Json & scaling, const std::string & path) {
    scaling.object(path);
    const Config k(&scaling, path + ": ");
    const std::string kind = k.text("rope_type", k.text("type", "default"));
    if (kind != "linear" && kind != "default")
        k.refuse("rope_type", kind + " is not supported; linear is");
    if (kind == "linear" && !k.find("factor"))
        k.refuse("factor", "is missing");
    return kind == "linear" ? linear_factor(k, "factor") : 1;
}

// transformers 4 has rope_theta, rope_local_base_freq and rope_scaling; 5 has rope_parameters.
void read_rope(const Config & k, GemmaConfig & c) {
    c.rope_base_local = rope_base_local(k, "rope_local_base_freq");
    const Json * scaling = k.find("rope_scaling");
    c.rope_factor = scaling ? rope_factor(*scaling, k.what("rope_scaling")) : 1;
    const Json * both = k.find("rope_parameters");
    if (!both)
        return;
    const std::string path = k.what("rope_parameters");
    both->object(path);
    const Config kinds(both, path + ": ");
    const Json *global = kinds.find("full_attention"), *local = kinds.find("sliding_attention");
    if (!global || !local)
        k.refuse("rope_parameters", "wants full_attention and sliding_attention");
    c.rope_factor = rope_factor(*global, path + ": full_attention");
    if (rope_factor(*local, path + ": sliding_attention") != 1)
        k.refuse("rope_parameters", "sliding_attention is scaled, which is not supported");
    c.rope_base = rope_base(Config(global, path + ": full_attention: "), "rope_theta");
    c.rope_base_local =
        rope_base_local(Config(local, path + ": sliding_attention: "), "rope_theta");
}

void read_layer_kinds(const Config & k, GemmaConfig & c) {
    const char * pattern =
        k.find("sliding_window_pattern") ? "sliding_window_pattern" : "_sliding_window_pattern";
    set_pattern(c, read_pattern(k, pattern));
    const Json * kinds = k.find("layer_types");
    if (!kinds)
        return;
    const Json::Array & values = kinds->array(k.what("layer_types"));
    if (values.size() != static_cast<size_t>(c.layers))
        k.refuse("layer_types", words("%zu entries for %d layers", values.size(), c.layers));
    for (size_t i = 0; i < values.size(); ++i) {
        const std::string & kind = values[i].string(k.what("layer_types"));
        if (kind != "full_attention" && kind != "sliding_attention")
            k.refuse("layer_types", kind + " is not supported");
        c.is_global[i] = kind == "full_attention";
    }
}

GemmaConfig from_json(const Json & json, const std::string & path) {
    const Config whole(&json, path + ": ");
    const Json * text = whole.find("text_config");
    if (text)
        text->object(whole.what("text_config"));
    const Config k(text ? text : &json, path + (text ? ": text_config: " : ": "));
    GemmaConfig c = sizes(k, hugging_face);
    c.scale = static_cast<float>(1 / std::sqrt(k.number("query_pre_attn_scalar", 256, 1e-3, 1e9)));
    for (const char * key : {"attn_logit_softcapping", "final_logit_softcapping"})
        if (k.find(key))
            k.refuse(key, "is not supported");
    for (const char * key : {"attention_bias", "use_bidirectional_attention"})
        if (k.find(key) && k.find(key)->boolean(k.what(key)))
            k.refuse(key, "is not supported");
    const char * gelu = "gelu_pytorch_tanh";
    for (const char * key : {"hidden_activation", "hidden_act"})
        if (k.text(key, gelu) != gelu)
            k.refuse(key, k.text(key, gelu) + " is not supported; " + gelu + " is");
    read_rope(k, c);
    read_layer_kinds(k, c);
    return c;
}

} // namespace

GemmaConfig gemma_config(const TensorFile & file) {
    if (file.format.compare(0, 4, "GGUF") == 0)
        return from_gguf(file);
    if (file.find("spiece_model"))
        return from_json(Json::parse(gemma3_12b_config, "built-in"), file.path);
    const std::string path = beside(file.path, "config.json");
    if (!exists(path))
        fail(LTX2_STATUS_MODEL, "%s: there is no config.json beside it", file.path.c_str());
    return from_json(read_json(path), path);
}

// GGUF has one number for it: every n-th layer is global.
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
    put(llama.context, Json(c.context));
    put(llama.hidden, Json(c.hidden));
    put(llama.layers, Json(c.layers));
    put(llama.ffn, Json(c.ffn));
    put(llama.heads, Json(c.heads));
    put(llama.kv_heads, Json(c.kv_heads));
    put(llama.head_dim, Json(c.head_dim));
    put("attention.value_length", Json(c.head_dim));
    put(llama.window, Json(c.sliding_window));
    put(llama.eps, Json(double{c.eps}));
    put(llama.base, Json(c.rope_base));
    if (c.rope_factor != 1) {
        put("rope.scaling.type", Json("linear"));
        put("rope.scaling.factor", Json(c.rope_factor));
    }
    if (c.scale != static_cast<float>(1 / std::sqrt(double(c.head_dim))))
        put("attention.scale", Json(double{c.scale}));
    // llama.cpp has these two in its code; a file of another geometry must say them.
    metadata.set("ltx2.rope.freq_base_local", Json(c.rope_base_local));
    metadata.set("ltx2.attention.sliding_window_pattern", Json(pattern_of(c, what)));
}

} // namespace ltx2
