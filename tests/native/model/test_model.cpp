// Sets of files that make a model, and sets that do not: what is found, and what the words say.
#include "check.h"
#include "model_folder.h"

using namespace ltx2;

static ModelFolder & whole(ModelFolder & f) { return f.checkpoint().gemma(); }

TEST(a_folder_is_found) {
    ModelFolder f;
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
    const ModelSet m = f.open();
    CHECK(m.index().count("video_embeddings_connector.learnable_registers"));
    CHECK(m.index().count("text_embedding_projection.video_aggregate_embed.weight"));
    CHECK(m.index().count("vae.decoder.conv_in.conv.weight"));
    CHECK(m.config().find("vae")->find("x")); // the VAE's own file speaks for it
    CHECK(m.config().find("transformer")->find("num_layers")->integer("n") == 2);
    CHECK(m.defaults().sampling.schedule == "ltx2"); // a LoRA's name says nothing
}

TEST(what_is_missing_is_named) {
    ModelFolder f;
    f.checkpoint();
    CHECK_THROWS(f.open(), "no text encoder in ");
    CHECK_THROWS(f.open(), "Hugging Face folder");
    ModelFolder g;
    g.gemma();
    CHECK_THROWS(g.open(), "no diffusion transformer, text connector, text projection, video VAE");
    CHECK_THROWS(g.open(), "ltx2 convert");
    ModelFolder empty;
    CHECK_THROWS(empty.open(), "holds no .gguf or .safetensors file");
    CHECK_THROWS(ModelSet({}), "files: none given");
    CHECK_THROWS(ModelSet({empty.at("none.gguf")}), "there is no such file");
    ModelFolder other;
    other.put("x.safetensors", file_of({{"res_blocks.0.conv1.weight", {1}}}));
    other.put("l.safetensors", file_of({{"a.lora_A.weight", {1}}}));
    CHECK_THROWS(ModelSet({other.at("x.safetensors")}), "no part of LTX-2.3");
    CHECK_THROWS(ModelSet({other.at("l.safetensors")}), "is a LoRA");
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

static std::string with_sampling(const std::string & sampling) {
    return config.substr(0, config.rfind('}')) + ", \"sampling\": " + sampling + "}";
}

TEST(defaults_come_from_the_file) {
    const auto open = [](const std::string & sampling) {
        ModelFolder f;
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
    ModelFolder f;
    f.gemma().checkpoint(config, checkpoint_tensors(), "LTX-Distilled.safetensors");
    CHECK(f.open().defaults().sampling.steps == 8);
}

TEST(config_is_checked_against_the_tensors) {
    const auto open = [](const std::string & text) {
        return ModelFolder().gemma().checkpoint(text).open();
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
    ModelFolder f;
    f.gemma().put("m.safetensors", file_of(checkpoint_tensors()));
    const ModelSet m = f.open();
    CHECK(m.text_length() == 1024 && m.defaults().latent_channels == 128);
    CHECK(m.config().find("transformer")->find("num_layers")->integer("n") == 48);
    CHECK(m.defaults().sampling.stg_blocks == std::vector<int>{28});
    ModelFolder g;
    g.checkpoint().gemma(R"(, "num_hidden_layers_x": 1)", gemma_tensors(3));
    CHECK_THROWS(g.open(), "has blk.2.");
    ModelFolder h;
    Shapes t = checkpoint_tensors();
    t["text_embedding_projection.video_aggregate_embed.weight"] = {8, 25};
    CHECK_THROWS(h.gemma().checkpoint(config, t).open(), "wants another text encoder");
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
        return f.put("gemma.gguf", g.build()).open().index().at("token_embd.weight").info->shape;
    };
    CHECK((open({20, 8}) == std::vector<int64_t>{20, 8}));
    CHECK_THROWS(open({20, 9}), "orig_shape.token_embd.weight: does not hold the tensor's 160");
    CHECK_THROWS(open({-20, -8}), "orig_shape");
    CHECK_THROWS(open({1 << 30, 1 << 30, 1 << 30}), "orig_shape");
}

TEST(a_tokenizer_is_asked_for) {
    ModelFolder f;
    const ModelSet m = whole(f).open();
    CHECK_THROWS(m.tokenizer(), "there is no tokenizer.json or tokenizer.model beside it");
    f.put("gemma/tokenizer.json", "{\"model\": 1}");
    CHECK_THROWS(m.tokenizer(), "tokenizer.json: ");
    ModelFolder
        g; // one file that carries its tokenizer and states nothing is taken for the 12B model
    g.checkpoint().put("gemma.safetensors", file_of(prefixed("model.", gemma_tensors()) +
                                                    Shapes{{"spiece_model", {4}}}));
    CHECK_THROWS(g.open(), "blk.2.attn_q.weight is missing");
}

int main(int argc, char ** argv) { return run_tests(argc, argv); }
