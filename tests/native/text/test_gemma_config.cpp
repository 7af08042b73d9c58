// The sizes that a text encoder's files state, and what is refused, by name.
#include "check.h"
#include "model/model_folder.h"
#include "text/gemma_config.h"

#include <cmath>

using namespace ltx2;

static GemmaConfig config_of(const Model & model) {
    return gemma_config(*model.need("text_encoder").file);
}

TEST(gemma_config_is_read) {
    const auto open = [](const std::string & more) {
        ModelFolder f;
        return config_of(f.checkpoint().gemma(more).open());
    };
    const GemmaConfig c = open("");
    CHECK(c.layers == 2 && c.heads == 4 && c.kv_heads == 2 && c.head_dim == 6 && c.hidden == 8);
    CHECK(c.ffn == 16 && c.sliding_window == 7 && c.scale == 0.0625f && c.eps == 1e-6f);
    CHECK(c.rope_factor == 1 && c.rope_base == 1e6 && c.rope_base_local == 1e4);
    CHECK((c.is_global == std::vector<bool>{false, false}));
    const GemmaConfig d = open(R"(, "query_pre_attn_scalar": 4, "rope_theta": 5e5,
        "rope_local_base_freq": 5000, "rope_scaling": {"type": "linear", "factor": 8.0},
        "sliding_window_pattern": 2, "attn_logit_softcapping": null)");
    CHECK(d.scale == 0.5f && d.rope_base == 5e5 && d.rope_base_local == 5000);
    CHECK(d.rope_factor == 8 && (d.is_global == std::vector<bool>{false, true}));
    const GemmaConfig e = open(R"(, "layer_types": ["full_attention", "sliding_attention"],
        "rope_parameters": {"full_attention": {"rope_type": "linear", "factor": 4,
        "rope_theta": 2e6}, "sliding_attention": {"rope_type": "default", "rope_theta": 3e4}})");
    CHECK((e.is_global == std::vector<bool>{true, false}) && e.rope_factor == 4);
    CHECK(e.rope_base == 2e6 && e.rope_base_local == 3e4);
    const std::string file = "config.json: ";
    const auto refused = [&](const std::string & key, const std::string & value) {
        CHECK_THROWS(open(", \"" + key + "\": " + value), (file + key).c_str());
    };
    refused("attn_logit_softcapping", "50.0");
    refused("final_logit_softcapping", "30.0");
    refused("attention_bias", "true");
    refused("hidden_activation", "\"relu\"");
    refused("query_pre_attn_scalar", "0");
    refused("rope_theta", "-1");
    refused("rms_norm_eps", "0");
    refused("rope_scaling", "{\"rope_type\": \"yarn\"}");
    refused("rope_scaling", "{\"rope_type\": \"linear\"}");
    refused("rope_scaling", "3");
    refused("rope_parameters", "{}");
    refused("sliding_window_pattern", "0");
    refused("layer_types", "[\"full_attention\"]");
    refused("layer_types", "[\"full_attention\", \"chunked\"]");
    const auto sizes = [](const std::string & from, const std::string & to) {
        ModelFolder f;
        std::string text = "{\"model_type\": \"gemma3_text\", " + gemma_json + "}";
        text.replace(text.find(from), from.size(), to);
        config_of(f.checkpoint().gemma().put("gemma/config.json", text).open());
    };
    CHECK_THROWS(sizes("\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3"),
                 "config.json: num_key_value_heads: 4 heads cannot share 3");
    CHECK_THROWS(sizes("\"head_dim\": 6", "\"head_dim\": 7"), "config.json: head_dim: 7 is odd");
    CHECK_THROWS(sizes("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1e9"),
                 "is not in 1..512");
    CHECK_THROWS(sizes("\"hidden_size\": 8,", ""), "config.json: hidden_size: is missing");
    CHECK_THROWS(sizes("gemma3_text", "llama"), "has the architecture \"llama\"");
}

TEST(gguf_files_are_read) {
    ModelFolder f;
    f.checkpoint().put("gemma.gguf", llama_gemma().build());
    const Model m = f.open();
    const GemmaConfig c = config_of(m);
    CHECK(c.head_dim == 16 && c.scale == 0.25f && c.rope_factor == 8 && c.rope_base == 1e6);
    CHECK(c.rope_base_local == 1e4 &&
          m.need("text_encoder").tensors.at("output_norm.weight").added == 0);
    f.put("gemma.gguf", llama_gemma("gemma3", 6).build());
    const GemmaConfig deep = gemma_config(read_tensor_file(f.at("gemma.gguf")));
    CHECK((deep.is_global == std::vector<bool>{0, 0, 0, 0, 0, 1})); // every sixth by default
    Gguf ours = llama_gemma();
    ours.entry("ltx2.rope.freq_base_local", gguf_f32).put(5000.0f);
    ours.entry("ltx2.attention.sliding_window_pattern", gguf_u32).u32(2);
    ours.entry("gemma3.attention.scale", gguf_f32).put(0.5f);
    const GemmaConfig o = config_of(f.put("gemma.gguf", ours.build()).open());
    CHECK(o.rope_base_local == 5000 && o.scale == 0.5f);
    CHECK((o.is_global == std::vector<bool>{false, true}));
    const auto refused = [&](const Gguf & g, const char * part) {
        CHECK_THROWS(config_of(f.put("gemma.gguf", g.build()).open()), part);
    };
    refused(llama_gemma("gemma3", 0xFFFFFFFF), "gemma.gguf: gemma3.block_count: ");
    Gguf yarn = llama_gemma();
    yarn.entry("gemma3.rope.scaling.type", gguf_string).text("yarn");
    refused(yarn, "gemma.gguf: gemma3.rope.scaling.type: \"yarn\"");
    Gguf endless = llama_gemma();
    endless.entry("gemma3.attention.scale", gguf_f32).put(INFINITY);
    refused(endless, "gemma.gguf: gemma3.attention.scale: ");
    Gguf part = llama_gemma();
    part.entry("split.count", gguf_u16).put<uint16_t>(3);
    refused(part, "is one of 3 parts");
    refused(llama_gemma("llama"), "no text encoder");
    CHECK_THROWS(Model({f.at("gemma.gguf")}), "has the architecture \"llama\"");
}

static const std::string gemma4_json = R"({"model_type": "gemma4_unified", "text_config": {
    "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 6, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 6, "global_head_dim": 10, "sliding_window": 7)";

TEST(gemma4_config_is_read) {
    const auto open = [](const std::string & more) {
        TensorFile file;
        file.path = "g";
        file.metadata = Json(Json::Object{{"gemma_config", gemma4_json + more + "}}"}});
        return gemma_config(file);
    };
    const GemmaConfig c = open(R"(, "attention_k_eq_v": true, "num_global_key_value_heads": 1,
        "final_logit_softcapping": 30, "hidden_size_per_layer_input": 0)");
    CHECK(c.is_gemma4 && c.architecture == "gemma4" && c.scale == 1 && c.logit_cap == 30);
    CHECK(c.kv_heads_of(0) == 2 && c.head_dim_of(0) == 6 && c.rope_base_local == 1e4);
    CHECK(c.kv_heads_of(5) == 1 && c.head_dim_of(5) == 10 && c.rotated == 0.25);
    CHECK(c.rope_factor == 1 && c.rope_base == 1e6);
    CHECK(open(R"(, "num_global_key_value_heads": 1)").global_kv_heads == 2); // own values
    const GemmaConfig d = open(R"(, "per_layer_config": {"5": {"head_dim": 12}},
        "rope_parameters": {"full_attention": {"rope_type": "proportional",
        "partial_rotary_factor": 0.5, "rope_theta": 2e6}, "sliding_attention": {}})");
    CHECK(d.global_head_dim == 12 && d.head_dim == 6 && d.global_kv_heads == 2);
    CHECK(d.rotated == 0.5 && d.rope_base == 2e6);
    const auto refused = [&](const std::string & key, const std::string & value) {
        CHECK_THROWS(open(", \"" + key + "\": " + value),
                     ("g: gemma_config: text_config." + key).c_str());
    };
    refused("num_kv_shared_layers", "2");
    refused("hidden_size_per_layer_input", "256");
    refused("enable_moe_block", "true");
    refused("use_bidirectional_attention", "\"all\"");
    refused("attn_logit_softcapping", "50");
    refused("final_logit_softcapping", "-1");
    CHECK_THROWS(open(R"(, "attention_k_eq_v": true, "num_global_key_value_heads": 3)"),
                 "num_key_value_heads: 4 heads cannot share 3");
    refused("layer_types", "[]");
    refused("per_layer_config", "[]");
    refused("per_layer_config", R"({"1": {"head_dim": 8}})");
    refused("per_layer_config", R"({"1": {"head_dim": 7}})");
    refused("per_layer_config", R"({"5": {"num_key_value_heads": 0}})");
    refused("rope_parameters", R"({"full_attention": {"rope_type": "linear", "factor": 8},
        "sliding_attention": {}})");
    refused("rope_parameters", R"({"full_attention": {"partial_rotary_factor": 1.5},
        "sliding_attention": {}})");
    TensorFile bad;
    bad.path = "g";
    for (const Json & value : {Json(3), Json("{"), Json("[]"), Json("{\"model_type\": 4}")}) {
        bad.metadata = Json(Json::Object{{"gemma_config", value}});
        CHECK_THROWS(gemma_config(bad), "g: gemma_config: ");
    }
}

TEST(gemma4_keys_are_read) {
    const auto open = [](const std::string & more) {
        TensorFile file;
        file.path = "g";
        file.format = "GGUF v3";
        file.metadata = Json::parse(R"({"general.architecture": "gemma4",
            "gemma4.embedding_length": 8, "gemma4.block_count": 2, "gemma4.feed_forward_length": 16,
            "gemma4.attention.head_count": 4, "gemma4.attention.sliding_window": 7)" +
                                        more + "}",
                                    "g");
        return gemma_config(file);
    };
    const std::string heads = R"(, "gemma4.attention.head_count_kv": [2, 1],
        "gemma4.attention.sliding_window_pattern": [true, false])";
    const GemmaConfig c = open(heads + R"(, "gemma4.rope.freq_base_swa": 5000,
        "gemma4.attention.key_length": 16, "gemma4.attention.value_length_swa": 256)");
    CHECK(c.is_gemma4 && c.kv_heads == 2 && c.global_kv_heads == 1 && c.rope_base_local == 5000);
    CHECK(c.head_dim == 256 && c.global_head_dim == 16 && c.rotated == 0.25 && c.scale == 1);
    CHECK((c.is_global == std::vector<bool>{false, true}));
    const auto refused = [&](const std::string & key, const std::string & value, bool has_heads) {
        CHECK_THROWS(open((has_heads ? heads : "") + ", \"gemma4." + key + "\": " + value),
                     ("g: gemma4." + key).c_str());
    };
    refused("attention.head_count_kv", "[2]", false);
    refused("attention.head_count_kv", "[2, 3]", false); // both local: no pattern is stated
    refused("attention.head_count_kv", "[2, 2.5]", false);
    refused("attention.head_count_kv", "3", false);
    refused("attention.head_count_kv", "null", false);
    refused("attention.sliding_window_pattern", "[true]", false);
    refused("attention.sliding_window_pattern", "[0, 1]", false);
    refused("attention.shared_kv_layers", "1", true);
    refused("embedding_length_per_layer_input", "256", true);
    refused("expert_count", "8", true);
    refused("attention.value_length", "256", true);
    refused("rope.dimension_count", "128", true);
    refused("attention.key_length_swa", "7", true);
}

int main(int argc, char ** argv) { return run_tests(argc, argv); }
