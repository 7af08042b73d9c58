// Sets of files that make a model, and sets that do not: what is found, and what the words say.
#include "check.h"
#include "model_folder.h"

using namespace ltx2;

static ModelFolder & whole(ModelFolder & f) { return f.checkpoint().gemma(); }

static const Index & tensors(const Model & m, const char * part) { return m.need(part).tensors; }

TEST(a_folder_is_found) {
    ModelFolder f;
    const Model m = whole(f).open();
    m.need_all();
    CHECK(tensors(m, "dit").count("transformer_blocks.1.scale_shift_table"));
    CHECK(tensors(m, "connector").count("video_embeddings_connector.learnable_registers"));
    const char * projection = "text_embedding_projection.video_aggregate_embed.weight";
    CHECK(tensors(m, "projection").count(projection));
    CHECK(tensors(m, "video_vae").count("vae.per_channel_statistics.mean-of-means"));
    const Index & text = tensors(m, "text_encoder");
    CHECK(text.count("token_embd.weight") && text.count("blk.1.ffn_down.weight"));
    CHECK(tensors(m, "dit").size() == dit_tensors.size());
    CHECK(tensors(m, "video_vae").size() == vae_tensors.size());
    CHECK(text.size() == gemma_tensors().size());
    const auto added = [&](const char * name) { return text.at(name).added; };
    CHECK(added("output_norm.weight") == 1 && added("blk.0.attn_norm.weight") == 1);
    CHECK(added("blk.0.attn_q_norm.weight") == 1 && added("blk.0.attn_q.weight") == 0);
    CHECK(m.need("video_vae").group("vae").integer("latent_channels", 0, 0, 9) == 4);
    CHECK(m.need("connector").group("transformer").integer("num_layers", 0, 0, 9) == 2);
    // The folder, a file of it and the folder in it are no second model.
    Model({f.path.string(), f.at("ltx-2.3.safetensors"), f.at("gemma")});
}

TEST(split_files_are_one_model) {
    ModelFolder f;
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
    const Model m = f.open();
    m.need_all();
    CHECK(tensors(m, "connector").count("video_embeddings_connector.learnable_registers"));
    CHECK(tensors(m, "video_vae").count("vae.decoder.conv_in.conv.weight"));
    CHECK(m.need("video_vae").group("vae").has("x")); // the VAE's own file speaks for it
    CHECK(m.need("connector").group("transformer").has("num_layers")); // the DiT's file for both
}

TEST(what_is_missing_is_named) {
    ModelFolder f;
    f.checkpoint(); // any parts open
    CHECK(f.open().find("dit") && !f.open().find("text_encoder"));
    CHECK_THROWS(f.open().need("text_encoder"), "no text encoder in ");
    CHECK_THROWS(f.open().need_all(), "Hugging Face folder");
    ModelFolder g;
    const Model text = g.gemma().open();
    CHECK_THROWS(text.need_all(),
                 "no text projection, text connector, diffusion transformer, video VAE");
    CHECK_THROWS(text.need_all(), "ltx2 convert");
    ModelFolder empty;
    CHECK_THROWS(empty.open(), "holds no .gguf or .safetensors file");
    CHECK_THROWS(Model({}), "files: none given");
    CHECK_THROWS(Model({empty.at("none.gguf")}), "there is no such file");
    ModelFolder other;
    other.put("x.safetensors", file_of({{"res_blocks.0.conv1.weight", {1}}}));
    other.put("l.safetensors", file_of({{"a.lora_A.weight", {1}}}));
    CHECK_THROWS(Model({other.at("x.safetensors")}), "no part of LTX-2.3");
    CHECK_THROWS(Model({other.at("l.safetensors")}), "is a LoRA");
}

TEST(two_of_a_part_are_refused) {
    ModelFolder f;
    whole(f).checkpoint(config, checkpoint_tensors(), "other.safetensors");
    CHECK_THROWS(f.open(), "other.safetensors: holds a diffusion transformer, and so does ");
    CHECK_THROWS(f.open(), "ltx-2.3.safetensors; give one of them");
    ModelFolder g;
    whole(g).put("more/config.json", "{}");
    g.put("more/model.safetensors", file_of(prefixed("model.", gemma_tensors())));
    CHECK_THROWS(g.open(), "holds a text encoder, and so does ");
    ModelFolder h;
    h.checkpoint(config, checkpoint_tensors() + dit_tensors);
    CHECK_THROWS(h.open(), "holds it as well");
}

TEST(other_versions_are_refused) {
    const auto open = [](const Shapes & more, const char * without = "") {
        ModelFolder f;
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
    ModelFolder six;
    Shapes t = checkpoint_tensors();
    t[dit + "transformer_blocks.0.scale_shift_table"] = {6, 8};
    CHECK_THROWS(six.gemma().checkpoint(config, t).open(), "six rows of modulation");
    ModelFolder f;
    f.gemma().put("m.safetensors", file_of(checkpoint_tensors(), {{"model_version", "2.0"}}));
    CHECK_THROWS(f.open(), "m.safetensors: states model_version 2.0");
    ModelFolder d;
    d.put("d.safetensors", file_of({{"transformer_blocks.0.attn1.norm_q.weight", {1}}}));
    CHECK_THROWS(d.open(), "names of diffusers");
    ModelFolder e;
    e.gemma().put("m.safetensors", file_of(checkpoint_tensors(), {{"config", config}}, "F8_E4M3"));
    CHECK_THROWS(e.open(), "is F8_E4M3");
}

TEST(config_comes_from_the_file_or_the_table) {
    const auto open = [](const std::string & text) {
        return ModelFolder().gemma().checkpoint(text).open();
    };
    CHECK_THROWS(open("{"), "ltx-2.3.safetensors: config");
    CHECK_THROWS(open("[]"), "ltx-2.3.safetensors: config");
    CHECK_THROWS(open(R"({"sampling": 7})"), "config sampling: is a number");
    // Without a config the table of LTX-2.3 stands in: 48 layers.
    ModelFolder f;
    f.gemma().put("m.safetensors", file_of(checkpoint_tensors()));
    const Model m = f.open();
    CHECK(m.need("dit").group("transformer").integer("num_layers", 0, 0, 99) == 48);
    CHECK(m.need("video_vae").group("vae").integer("latent_channels", 0, 0, 999) == 128);
    CHECK(!m.need("dit").group("sampling").has("steps"));
}

TEST(shards_belong_together) {
    ModelFolder f;
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
    f.put("gemma/two.safetensors", file_of(last));
    CHECK(tensors(f.open(), "text_encoder")
              .count("blk.1.attn_q.weight")); // model.safetensors is not in the list
    CHECK_THROWS(Model({f.at("ltx-2.3.safetensors"), f.at("gemma/model.safetensors")}),
                 "is not among the files of");
    f.put("gemma/model.safetensors.index.json", R"({"weight_map": {"a": "one.safetensors",
        "b": "two.safetensors", "c": "three.safetensors"}})");
    CHECK_THROWS(f.open(), "three.safetensors, which belongs to it, is missing");
    f.put("gemma/model.safetensors.index.json", "{}");
    CHECK_THROWS(f.open(), "index.json: has no weight_map");
}

TEST(stated_shapes_hold) {
    const auto open = [](std::initializer_list<int32_t> shape) {
        ModelFolder f;
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
        const Model m = f.put("gemma.gguf", g.build()).open();
        return tensors(m, "text_encoder").at("token_embd.weight").info->shape;
    };
    CHECK((open({20, 8}) == std::vector<int64_t>{20, 8}));
    CHECK_THROWS(open({20, 9}), "orig_shape.token_embd.weight: does not hold the tensor's 160");
    CHECK_THROWS(open({-20, -8}), "orig_shape");
    CHECK_THROWS(open({1 << 30, 1 << 30, 1 << 30}), "orig_shape");
}

int main(int argc, char ** argv) { return run_tests(argc, argv); }
