// Sets of files that make a model, and sets that do not: what is found, and what the words say.
// The tensors' values are never read here, so their shapes need not fit each other.
#include "bytes.h"
#include "check.h"
#include "model/model.h"
#include "text/gemma3_config.h"

#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>

using namespace ltx2;
namespace fs = std::filesystem;

using Shapes = std::map<std::string, std::vector<int64_t>>;

static std::string quoted(const std::string & text) {
    std::string out = "\"";
    for (char c : text)
        out += c == '"' ? "\\\"" : c == '\n' ? " " : std::string(1, c);
    return out + "\"";
}

// Safetensors of F32 (or `dtype` of the size of four bytes a value) with strings in the metadata.
static std::string file_of(const Shapes & shapes,
                           const std::map<std::string, std::string> & meta = {},
                           const std::string & dtype = "F32") {
    std::string header = "{\"__metadata__\":{";
    for (const auto & [key, value] : meta)
        header += (header.back() == '{' ? "" : ",") + quoted(key) + ":" + quoted(value);
    header += "}";
    size_t end = 0;
    for (const auto & [name, shape] : shapes) {
        size_t size = dtype == "F32" ? 4 : 1;
        std::string text;
        for (int64_t n : shape) {
            size *= static_cast<size_t>(n);
            text += (text.empty() ? "" : ",") + std::to_string(n);
        }
        header += "," + quoted(name) + ":{\"dtype\":\"" + dtype + "\",\"shape\":[" + text +
                  "],\"data_offsets\":[" + std::to_string(end) + "," + std::to_string(end + size) +
                  "]}";
        end += size;
    }
    return safetensors(header + "}", end);
}

static Shapes prefixed(const std::string & prefix, const Shapes & shapes) {
    Shapes out;
    for (const auto & [name, shape] : shapes)
        out[prefix + name] = shape;
    return out;
}

static Shapes operator+(Shapes a, const Shapes & b) {
    a.insert(b.begin(), b.end());
    return a;
}

static const Shapes dit_tensors = {{"patchify_proj.weight", {8, 4}},
                                   {"transformer_blocks.0.scale_shift_table", {9, 8}},
                                   {"transformer_blocks.0.attn1.to_q.weight", {8, 8}},
                                   {"transformer_blocks.0.ff.net.0.proj.weight", {8, 8}},
                                   {"transformer_blocks.0.ff.net.0.proj.bias", {8}},
                                   {"transformer_blocks.1.scale_shift_table", {9, 8}},
                                   {"scale_shift_table", {2, 8}}};
static const Shapes sound = {{"model.diffusion_model.audio_patchify_proj.weight", {2, 2}},
                             {"model.diffusion_model.transformer_blocks.0."
                              "scale_shift_table_a2v_ca_video",
                              {5, 2}},
                             {"model.diffusion_model.av_ca_a2v_gate_adaln_single.linear.bias", {2}},
                             {"audio_vae.encoder.conv_in.conv.weight", {2, 2}},
                             {"vocoder.vocoder.conv_pre.weight", {2, 2}},
                             {"text_embedding_projection.audio_aggregate_embed.bias", {2}}};
static const Shapes connector_tensors = {{"learnable_registers", {16, 8}}};
static const Shapes projection_tensors = {{"video_aggregate_embed.weight", {8, 24}}};
static const Shapes vae_tensors = {{"encoder.down_blocks.0.res_blocks.0.conv1.conv.weight", {1}},
                                   {"decoder.conv_in.conv.weight", {4, 4, 1, 1, 1}},
                                   {"per_channel_statistics.mean-of-means", {4}}};
static const std::string config = R"({"transformer": {"num_layers": 2, "in_channels": 4,
    "connector_text_length": 32, "connector_num_layers": 1},
    "vae": {"latent_channels": 4}})";

static Shapes checkpoint_tensors() {
    return prefixed("model.diffusion_model.", dit_tensors) +
           prefixed("model.diffusion_model.video_embeddings_connector.", connector_tensors) +
           prefixed("text_embedding_projection.", projection_tensors) +
           prefixed("vae.", vae_tensors) + sound;
}

static Shapes gemma_tensors(int layers = 2) {
    Shapes t = {{"embed_tokens.weight", {20, 8}}, {"norm.weight", {8}}};
    for (int i = 0; i < layers; ++i) {
        const std::string layer = "layers." + std::to_string(i) + ".";
        t[layer + "input_layernorm.weight"] = t[layer + "self_attn.q_norm.weight"] = {8};
        t[layer + "self_attn.q_proj.weight"] = t[layer + "mlp.down_proj.weight"] = {8, 8};
    }
    return t;
}

static const std::string gemma_json = R"("hidden_size": 8, "intermediate_size": 16,
    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 6,
    "sliding_window": 7)";

// A folder that goes when the test ends.
struct Folder {
    fs::path path;

    Folder() {
        static int count = 0;
        static const unsigned run = std::random_device()();
        path = fs::temp_directory_path() / words("ltx2-model-set-%u-%d", run, count++);
        fs::create_directories(path);
    }
    ~Folder() { fs::remove_all(path); }
    std::string at(const std::string & name) const { return (path / name).string(); }
    Folder & put(const std::string & name, const std::string & bytes) {
        fs::create_directories((path / name).parent_path());
        std::ofstream(path / name, std::ios::binary) << bytes;
        return *this;
    }
    Folder & checkpoint(const std::string & with = config,
                        const Shapes & shapes = checkpoint_tensors(),
                        const std::string & name = "ltx-2.3.safetensors") {
        return put(name, file_of(shapes, {{"config", with}, {"model_version", "2.3.0"}}));
    }
    Folder & gemma(const std::string & more = "", const Shapes & shapes = gemma_tensors()) {
        put("gemma/config.json", "{\"model_type\": \"gemma3_text\", " + gemma_json + more + "}");
        return put("gemma/model.safetensors", file_of(prefixed("model.", shapes)));
    }
    ModelSet open() const { return ModelSet({path.string()}); }
};

static Folder & whole(Folder & f) { return f.checkpoint().gemma(); }

static void a_folder_is_found() {
    Folder f;
    const ModelSet m = whole(f).open();
    CHECK(m.index().count("transformer_blocks.1.scale_shift_table"));
    CHECK(m.index().count("video_embeddings_connector.learnable_registers"));
    CHECK(m.index().count("text_embedding_projection.video_aggregate_embed.weight"));
    CHECK(m.index().count("vae.per_channel_statistics.mean-of-means"));
    CHECK(m.index().count("token_embd.weight") && m.index().count("blk.1.ffn_down.weight"));
    CHECK(m.index().size() ==
          dit_tensors.size() + 1 + 1 + vae_tensors.size() + gemma_tensors().size());
    const auto added = [&](const char * name) { return m.index().at(name).added; };
    CHECK(added("output_norm.weight") == 1 && added("blk.0.attn_norm.weight") == 1);
    CHECK(added("blk.0.attn_q_norm.weight") == 1 && added("blk.0.attn_q.weight") == 0);
    CHECK(m.text_length() == 32);
    CHECK(m.config().find("vae")->find("latent_channels")->integer("n") == 4);
    const ModelDefaults & d = m.defaults();
    CHECK(d.width == 768 && d.height == 512 && d.frames == 121 && d.fps == 24);
    CHECK(d.latent_channels == 4 && d.sampling.schedule == "ltx2" && d.sampling.steps == 30);
    CHECK(d.sampling.stg_blocks.empty()); // block 28 of 2
    // The folder, a file of it and the folder in it are no second model.
    ModelSet({f.path.string(), f.at("ltx-2.3.safetensors"), f.at("gemma")});
}

static void split_files_are_one_model() {
    Folder f;
    f.gemma("", {}).put("gemma/model.safetensors",
                        file_of(prefixed("language_model.model.", gemma_tensors())));
    f.put("dit.safetensors",
          file_of(prefixed("diffusion_model.", dit_tensors), {{"config", config}}));
    f.put("text.safetensors",
          file_of(projection_tensors + prefixed("embeddings_connector.", connector_tensors)));
    f.put("vae.safetensors",
          file_of(vae_tensors, {{"config", R"({"vae": {"latent_channels": 4, "x": 1}})"}}));
    f.put("upscaler.safetensors",
          file_of({{"res_blocks.0.conv1.weight", {1}}}, {{"config", "[]"}}));
    f.put("a-distilled-lora.safetensors",
          file_of({{"diffusion_model.transformer_blocks.0.attn1.to_q.lora_A.weight", {1}}}));
    f.put(".hidden/broken.gguf", "?");
    const ModelSet m = f.open();
    CHECK(m.index().count("video_embeddings_connector.learnable_registers"));
    CHECK(m.index().count("text_embedding_projection.video_aggregate_embed.weight"));
    CHECK(m.index().count("vae.decoder.conv_in.conv.weight"));
    CHECK(m.config().find("vae")->find("x")); // the VAE's own file speaks for it
    CHECK(m.config().find("transformer")->find("num_layers")->integer("n") == 2);
    CHECK(m.defaults().sampling.schedule == "ltx2"); // a LoRA's name says nothing
}

static void what_is_missing_is_named() {
    Folder f;
    f.checkpoint();
    CHECK_THROWS(f.open(), "no text encoder in ");
    CHECK_THROWS(f.open(), "Hugging Face folder");
    Folder g;
    g.gemma();
    CHECK_THROWS(g.open(), "no diffusion transformer, text connector, text projection, video VAE");
    CHECK_THROWS(g.open(), "ltx2 convert");
    Folder empty;
    CHECK_THROWS(empty.open(), "holds no .gguf or .safetensors file");
    CHECK_THROWS(ModelSet({}), "files: none given");
    CHECK_THROWS(ModelSet({empty.at("none.gguf")}), "there is no such file");
    Folder other;
    other.put("x.safetensors", file_of({{"res_blocks.0.conv1.weight", {1}}}));
    other.put("l.safetensors", file_of({{"a.lora_A.weight", {1}}}));
    CHECK_THROWS(ModelSet({other.at("x.safetensors")}), "no part of LTX-2.3");
    CHECK_THROWS(ModelSet({other.at("l.safetensors")}), "is a LoRA");
}

static void two_of_a_part_are_refused() {
    Folder f;
    whole(f).checkpoint(config, checkpoint_tensors(), "other.safetensors");
    CHECK_THROWS(f.open(), "other.safetensors: holds a diffusion transformer, and so does ");
    CHECK_THROWS(f.open(), "ltx-2.3.safetensors; give one of them");
    Folder g;
    whole(g).put("more/config.json", "{}");
    g.put("more/model.safetensors", file_of(prefixed("model.", gemma_tensors())));
    CHECK_THROWS(g.open(), "holds a text encoder, and so does ");
    Folder h;
    h.checkpoint(config, checkpoint_tensors() + dit_tensors);
    CHECK_THROWS(h.open(), "holds it as well");
}

static void other_versions_are_refused() {
    const auto open = [](const Shapes & more, const char * without = "") {
        Folder f;
        Shapes t = checkpoint_tensors() + more;
        t.erase(without);
        f.gemma().checkpoint(config, t).open();
    };
    const std::string dit = "model.diffusion_model.";
    CHECK_THROWS(open({{dit + "keyframes_abs_pos_embedding", {1, 8}}}), "is LTX-2.5");
    CHECK_THROWS(open({}, "model.diffusion_model.transformer_blocks.0.ff.net.0.proj.bias"),
                 "is LTX-2.5");
    CHECK_THROWS(open({{dit + "caption_projection.linear_1.weight", {8, 8}}}), "is LTX-2.0");
    CHECK_THROWS(open({{"text_embedding_projection.aggregate_embed.weight", {8, 8}}}),
                 "is LTX-2.0");
    Folder six;
    Shapes t = checkpoint_tensors();
    t[dit + "transformer_blocks.0.scale_shift_table"] = {6, 8};
    CHECK_THROWS(six.gemma().checkpoint(config, t).open(), "six rows of modulation");
    Folder f;
    f.gemma().put("m.safetensors", file_of(checkpoint_tensors(), {{"model_version", "2.0"}}));
    CHECK_THROWS(f.open(), "m.safetensors: states model_version 2.0");
    Folder d;
    d.put("d.safetensors", file_of({{"transformer_blocks.0.attn1.norm_q.weight", {1}}}));
    CHECK_THROWS(d.open(), "names of diffusers");
    Folder e;
    e.gemma().put("m.safetensors", file_of(checkpoint_tensors(), {{"config", config}}, "F8_E4M3"));
    CHECK_THROWS(e.open(), "is F8_E4M3");
}

static std::string with_sampling(const std::string & sampling) {
    return config.substr(0, config.rfind('}')) + ", \"sampling\": " + sampling + "}";
}

static void defaults_come_from_the_file() {
    const auto open = [](const std::string & sampling) {
        Folder f;
        return f.gemma().checkpoint(with_sampling(sampling)).open().defaults();
    };
    const ModelDefaults d = open(R"({"schedule": "linear_quadratic", "steps": 5, "guidance": 2,
        "stg": 0.5, "rescale": 0, "stg_blocks": [1], "width": 64, "height": 96, "frames": 17,
        "fps": 8})");
    CHECK(d.sampling.schedule == "linear_quadratic" && d.sampling.steps == 5);
    CHECK(d.sampling.guidance == 2 && d.sampling.stg == 0.5f && d.sampling.rescale == 0);
    CHECK(d.sampling.stg_blocks == std::vector<int>{1});
    CHECK(d.width == 64 && d.height == 96 && d.frames == 17 && d.fps == 8);
    const ModelDefaults distilled = open(R"({"schedule": "distilled"})");
    CHECK(distilled.sampling.steps == 8 && distilled.sampling.guidance == 1);
    CHECK(distilled.sampling.stg == 0 && distilled.sampling.rescale == 0);
    CHECK_THROWS(open(R"({"schedule": "slow"})"), "ltx-2.3.safetensors: ");
    CHECK_THROWS(open(R"({"steps": 0})"), "sampling.steps: 0");
    CHECK_THROWS(open(R"({"guidance": -1})"), "sampling.guidance");
    CHECK_THROWS(open(R"({"stg_blocks": [2]})"), "sampling.stg_blocks: 2 is not in 0..1");
    CHECK_THROWS(open(R"({"stg_blocks": [0.5]})"), "sampling.stg_blocks: 0.5");
    CHECK_THROWS(open(R"({"frames": 16})"), "ltx-2.3.safetensors: frames: 16");
    CHECK_THROWS(open(R"({"width": "wide"})"), "sampling.width");
    CHECK_THROWS(open("7"), "config sampling: is a number");
    Folder f;
    f.gemma().checkpoint(config, checkpoint_tensors(), "LTX-Distilled.safetensors");
    CHECK(f.open().defaults().sampling.steps == 8);
}

static void config_is_checked_against_the_tensors() {
    const auto open = [](const std::string & text) {
        return Folder().gemma().checkpoint(text).open();
    };
    CHECK_THROWS(open("{"), "ltx-2.3.safetensors: config");
    CHECK_THROWS(open("[]"), "ltx-2.3.safetensors: config");
    CHECK_THROWS(open(R"({"transformer": {"num_layers": 1, "in_channels": 4},
        "vae": {"latent_channels": 4}})"),
                 "has transformer_blocks.1.");
    CHECK_THROWS(open(R"({"transformer": {"num_layers": 2, "in_channels": 8},
        "vae": {"latent_channels": 4}})"),
                 "4 channels, and the diffusion transformer takes 8");
    CHECK_THROWS(open(R"({"transformer": {"num_layers": 2, "in_channels": 4,
        "connector_text_length": 40}, "vae": {"latent_channels": 4}})"),
                 "no multiple of the 16");
    CHECK_THROWS(open(R"({"transformer": {"num_layers": 2, "in_channels": 4,
        "connector_num_learnable_registers": 8}, "vae": {"latent_channels": 4}})"),
                 "the file has 16");
    // Without a config the table of LTX-2.3 stands in: 48 layers, 1024 rows.
    Folder f;
    f.gemma().put("m.safetensors", file_of(checkpoint_tensors()));
    const ModelSet m = f.open();
    CHECK(m.text_length() == 1024 && m.defaults().latent_channels == 128);
    CHECK(m.config().find("transformer")->find("num_layers")->integer("n") == 48);
    CHECK(m.defaults().sampling.stg_blocks == std::vector<int>{28});
    Folder g;
    g.checkpoint().gemma(R"(, "num_hidden_layers_x": 1)", gemma_tensors(3));
    CHECK_THROWS(g.open(), "has blk.2.");
    Folder h;
    Shapes t = checkpoint_tensors();
    t["text_embedding_projection.video_aggregate_embed.weight"] = {8, 25};
    CHECK_THROWS(h.gemma().checkpoint(config, t).open(), "wants another text encoder");
}

static void gemma_config_is_read() {
    const auto open = [](const std::string & more) {
        Folder f;
        return f.checkpoint().gemma(more).open().gemma();
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
        Folder f;
        std::string text = "{\"model_type\": \"gemma3_text\", " + gemma_json + "}";
        text.replace(text.find(from), from.size(), to);
        f.checkpoint().gemma().put("gemma/config.json", text).open();
    };
    CHECK_THROWS(sizes("\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3"),
                 "config.json: num_key_value_heads: 4 heads cannot share 3");
    CHECK_THROWS(sizes("\"head_dim\": 6", "\"head_dim\": 7"), "config.json: head_dim: 7 is odd");
    CHECK_THROWS(sizes("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1e9"),
                 "is not in 1..512");
    CHECK_THROWS(sizes("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3"),
                 "blk.2.attn_q.weight");
    CHECK_THROWS(sizes("\"hidden_size\": 8", "\"hidden_size\": 9"), "not [vocabulary, 9]");
    CHECK_THROWS(sizes("\"hidden_size\": 8,", ""), "config.json: hidden_size is missing");
    CHECK_THROWS(sizes("gemma3_text", "llama"), "config.json: model_type: llama");
}

static void shards_belong_together() {
    Folder f;
    f.checkpoint().gemma();
    f.put("gemma/model.safetensors.index.json", R"({"weight_map": {"a": "one.safetensors",
        "b": "two.safetensors", "c": "one.safetensors"}})");
    const Shapes last = {{"model.norm.weight", {8}},
                         {"model.layers.1.self_attn.q_proj.weight", {8, 8}}};
    Shapes first = prefixed("model.", gemma_tensors());
    for (const auto & entry : last)
        first.erase(entry.first);
    f.put("gemma/one.safetensors", file_of(first));
    CHECK_THROWS(f.open(), "two.safetensors, which belongs to it, is missing");
    f.put("gemma/two.safetensors", file_of({{"vision_tower.x.weight", {1}}}));
    CHECK_THROWS(f.open(), "tensor output_norm.weight is missing");
    f.put("gemma/two.safetensors", file_of(last));
    CHECK(f.open().index().count("blk.1.attn_q.weight")); // model.safetensors is not in the list
    CHECK_THROWS(ModelSet({f.at("ltx-2.3.safetensors"), f.at("gemma/model.safetensors")}),
                 "is not among the files of");
    f.put("gemma/model.safetensors.index.json", R"({"weight_map": {"a": "one.safetensors",
        "b": "two.safetensors", "c": "three.safetensors"}})");
    CHECK_THROWS(f.open(), "three.safetensors, which belongs to it, is missing");
    f.put("gemma/model.safetensors.index.json", "{}");
    CHECK_THROWS(f.open(), "index.json: has no weight_map");
}

// A text encoder as llama.cpp writes it.
static Gguf llama_gemma(const std::string & architecture = "gemma3", uint32_t layers = 2) {
    Gguf g;
    g.entry("general.architecture", gguf_string).text(architecture);
    const std::pair<const char *, uint32_t> numbers[] = {
        {"block_count", layers},        {"embedding_length", 8},
        {"feed_forward_length", 16},    {"attention.head_count", 4},
        {"attention.head_count_kv", 2}, {"attention.key_length", 16},
        {"attention.value_length", 16}, {"attention.sliding_window", 1024}};
    for (const auto & [key, value] : numbers)
        g.entry(std::string("gemma3.") + key, gguf_u32).u32(value);
    g.entry("gemma3.rope.scaling.factor", gguf_f32).put(8.0f);
    g.entry("gemma3.attention.layer_norm_rms_epsilon", gguf_f32).put(1e-6f);
    g.tensor("token_embd.weight", {8, 20}, GGML_TYPE_F32, 0).bytes(640);
    g.tensor("output_norm.weight", {8}, GGML_TYPE_F32, 640).bytes(32);
    g.tensor("blk.0.attn_q.weight", {8, 2}, GGML_TYPE_F32, 672).bytes(64);
    g.tensor("blk.1.attn_q.weight", {8, 2}, GGML_TYPE_F32, 736).bytes(64);
    return g;
}

static void gguf_files_are_read() {
    Folder f;
    f.checkpoint().put("gemma.gguf", llama_gemma().build());
    const ModelSet m = f.open();
    const GemmaConfig & c = m.gemma();
    CHECK(c.head_dim == 16 && c.scale == 0.25f && c.rope_factor == 8 && c.rope_base == 1e6);
    CHECK(c.rope_base_local == 1e4 && m.index().at("output_norm.weight").added == 0);
    f.put("gemma.gguf", llama_gemma("gemma3", 6).build());
    const GemmaConfig deep = gemma_config(read_model_file(f.at("gemma.gguf")));
    CHECK((deep.is_global == std::vector<bool>{0, 0, 0, 0, 0, 1})); // every sixth by default
    Gguf ours = llama_gemma();
    ours.entry("ltx2.rope.freq_base_local", gguf_f32).put(5000.0f);
    ours.entry("ltx2.attention.sliding_window_pattern", gguf_u32).u32(2);
    ours.entry("gemma3.attention.scale", gguf_f32).put(0.5f);
    const GemmaConfig o = f.put("gemma.gguf", ours.build()).open().gemma();
    CHECK(o.rope_base_local == 5000 && o.scale == 0.5f);
    CHECK((o.is_global == std::vector<bool>{false, true}));
    const auto refused = [&](const Gguf & g, const char * part) {
        CHECK_THROWS(f.put("gemma.gguf", g.build()).open(), part);
    };
    refused(llama_gemma("gemma3", 3), "gemma.gguf: tensor blk.2.attn_q.weight is missing");
    refused(llama_gemma("gemma3", 1), "has blk.1.");
    refused(llama_gemma("gemma3", 0xFFFFFFFF), "gemma.gguf: gemma3.block_count: ");
    Gguf yarn = llama_gemma();
    yarn.entry("gemma3.rope.scaling.type", gguf_string).text("yarn");
    refused(yarn, "gemma.gguf: gemma3.rope.scaling.type: yarn");
    Gguf endless = llama_gemma();
    endless.entry("gemma3.attention.scale", gguf_f32).put(INFINITY);
    refused(endless, "gemma.gguf: gemma3.attention.scale: ");
    Gguf part = llama_gemma();
    part.entry("split.count", gguf_u16).put<uint16_t>(3);
    refused(part, "is one of several parts");
    refused(llama_gemma("llama"), "no text encoder");
    CHECK_THROWS(ModelSet({f.at("gemma.gguf")}), "has the architecture \"llama\"");
}

static void stated_shapes_hold() {
    const auto open = [](std::initializer_list<int32_t> shape) {
        Folder f;
        f.checkpoint();
        Gguf g = llama_gemma();
        Bytes & entry = g.entry("comfy.gguf.orig_shape.token_embd.weight", gguf_array);
        entry.u32(gguf_i32).u64(shape.size());
        for (int32_t n : shape)
            entry.put(n);
        g.tensors.data.clear(); // as ComfyUI-GGUF stores it: other rows, the same values
        g.tensor_count = 0;
        g.tensor("token_embd.weight", {40, 4}, GGML_TYPE_F32, 0);
        g.tensor("output_norm.weight", {8}, GGML_TYPE_F32, 640);
        g.tensor("blk.0.attn_q.weight", {8, 2}, GGML_TYPE_F32, 672);
        g.tensor("blk.1.attn_q.weight", {8, 2}, GGML_TYPE_F32, 736);
        return f.put("gemma.gguf", g.build()).open().index().at("token_embd.weight").info->shape;
    };
    CHECK((open({20, 8}) == std::vector<int64_t>{20, 8}));
    CHECK_THROWS(open({20, 9}), "orig_shape.token_embd.weight: does not hold the tensor's 160");
    CHECK_THROWS(open({-20, -8}), "orig_shape");
    CHECK_THROWS(open({1 << 30, 1 << 30, 1 << 30}), "orig_shape");
}

static void a_tokenizer_is_asked_for() {
    Folder f;
    const ModelSet m = whole(f).open();
    CHECK_THROWS(m.tokenizer(), "there is no tokenizer.json or tokenizer.model beside it");
    f.put("gemma/tokenizer.json", "{\"model\": 1}");
    CHECK_THROWS(m.tokenizer(), "tokenizer.json: ");
    Folder g; // one file that carries its tokenizer and states nothing is taken for the 12B model
    g.checkpoint().put("gemma.safetensors", file_of(prefixed("model.", gemma_tensors()) +
                                                    Shapes{{"spiece_model", {4}}}));
    CHECK_THROWS(g.open(), "blk.2.attn_q.weight is missing");
}

int main() {
    a_folder_is_found();
    split_files_are_one_model();
    what_is_missing_is_named();
    two_of_a_part_are_refused();
    other_versions_are_refused();
    defaults_come_from_the_file();
    config_is_checked_against_the_tensors();
    gemma_config_is_read();
    shards_belong_together();
    gguf_files_are_read();
    stated_shapes_hold();
    a_tokenizer_is_asked_for();
    return check_result();
}
