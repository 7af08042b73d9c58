// Sets of files that make a model, and sets that do not: what is found, and what the words say.
#include "check.h"
#include "model_folder.h"

using namespace ltx2;
namespace fs = std::filesystem;

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
    Model({f.name(), f.at("ltx-2.3.safetensors"), f.at("gemma")});
}

// Parts that state no version have LTX-2.3's sizes, as those of others would not.
static const Shapes real_dit = dit_tensors + Shapes{{"proj_out.bias", {128}}};
static const Shapes real_projection = {{"video_aggregate_embed.bias", {4096}}};
static const Shapes real_connector = {{"learnable_registers", {128, 4096}},
                                      {"transformer_1d_blocks.0.attn1.q_norm.weight", {4096}}};
static const Shapes real_vae = {{"encoder.down_blocks.8.res_blocks.0.conv1.conv.bias", {1024}},
                                {"decoder.up_blocks.0.res_blocks.0.conv1.conv.bias", {1024}},
                                {"decoder.conv_in.conv.bias", {1024}},
                                {"decoder.up_blocks.7.conv.conv.bias", {512}},
                                {"per_channel_statistics.mean-of-means", {128}},
                                {"per_channel_statistics.std-of-means", {128}}};

TEST(split_files_are_one_model) {
    ModelFolder f;
    f.gemma("", {}).put("gemma/model.safetensors",
                        file_of(prefixed("language_model.model.", gemma_tensors())));
    f.put("dit.safetensors", file_of(prefixed("diffusion_model.", real_dit), {{"config", config}}));
    f.put("text.safetensors",
          file_of(real_projection + prefixed("embeddings_connector.", real_connector)));
    f.put("vae.safetensors",
          file_of(real_vae, {{"config", R"({"vae": {"latent_channels": 4, "x": 1}})"}}));
    f.put(".hidden/broken.gguf", "?");
    const Model m = f.open();
    m.need_all();
    CHECK(tensors(m, "connector").count("video_embeddings_connector.learnable_registers"));
    CHECK(tensors(m, "video_vae").count("vae.decoder.conv_in.conv.bias"));
    CHECK(m.need("video_vae").group("vae").find("x")); // the VAE's own file speaks for it
    CHECK(m.need("connector").group("transformer").find("num_layers")); // the DiT's file for both
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
}

// The connector of the transformer's own file is used, whatever the order.
TEST(a_second_connector_beside_the_projection_is_left_alone) {
    const std::map<std::string, std::string> stated = {{"config", config},
                                                       {"model_version", "2.3"}};
    const Shapes connector = prefixed("video_embeddings_connector.", connector_tensors);
    const std::string own = file_of(dit_tensors + connector, stated);
    const std::string beside =
        file_of(connector + prefixed("text_embedding_projection.", projection_tensors), stated);
    for (const char * name : {"a.safetensors", "z.safetensors"}) {
        ModelFolder f;
        f.gemma().put("m.safetensors", own).put(name, beside);
        const Model m = f.open();
        CHECK(m.need("connector").file->path == f.at("m.safetensors"));
        CHECK(m.need("projection").file->path == f.at(name));
        // One that is of no other use was given by mistake.
        f.put(name, file_of(connector, stated));
        CHECK_THROWS(f.open(), "holds a text connector, and so does ");
    }
}

TEST(two_of_a_part_are_refused) {
    ModelFolder f;
    whole(f).checkpoint(config, checkpoint_tensors(), "other.safetensors");
    CHECK_THROWS(f.open(), "other.safetensors: holds a text projection, and so does ");
    CHECK_THROWS(f.open(), "ltx-2.3.safetensors; give one of them");
    ModelFolder g;
    whole(g).put("more/config.json", R"({"model_type": "gemma3"})");
    g.put("more/model.safetensors", file_of(prefixed("model.", gemma_tensors())));
    CHECK_THROWS(g.open(), "holds a text encoder, and so does ");
}

// What is skipped in a folder is refused where it is named, in the same words; and where a part is
// missing, they are said again.
static void check_skipped(const std::string & name, const std::string & bytes,
                          const char * problem) {
    ModelFolder f;
    whole(f).put(name, bytes);
    f.open().need_all();
    CHECK_THROWS(Model({f.at("ltx-2.3.safetensors"), f.at(name)}), problem);
    ModelFolder alone;
    alone.put(name, bytes);
    const std::string again = "skipped: " + alone.at(name) + " (";
    CHECK_THROWS(alone.open().need("dit"), again.c_str());
    CHECK_THROWS(alone.open().need("dit"), problem);
}

TEST(what_is_no_model_file_is_skipped) {
    const std::string file = file_of(checkpoint_tensors());
    check_skipped("a.safetensors", "", "the file is empty");
    check_skipped("a.safetensors", file.substr(0, file.size() - 1), "the file is not complete");
    check_skipped("a.safetensors", file.substr(0, 100), "the header is said to be");
    const std::string gguf = llama_gemma().build();
    check_skipped("a.gguf", gguf.substr(0, gguf.size() - 1), "the file is not complete");
    check_skipped("a.gguf", gguf.substr(0, 700), "the file ends too early");
    check_skipped("a.gguf", std::string(4096, '\0'), "neither GGUF nor safetensors");
    check_skipped("a.safetensors",
                  "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 46000000000\n",
                  "a git-lfs pointer");
    check_skipped("a.gguf", "PK\3\4 an archive", "neither GGUF nor safetensors");
    check_skipped("a.safetensors", "<html>404</html>", "neither GGUF nor safetensors");
}

static const std::string diffusion = "model.diffusion_model.";

static Shapes checkpoint_with(const Shapes & more, const std::string & without = "") {
    Shapes t = more + checkpoint_tensors();
    t.erase(without);
    return t;
}

// Its tensors tell, then what it states.
TEST(the_generation_is_the_transformers) {
    const auto check = [](const Shapes & shapes, const std::string & name,
                          const char * version = "2.3") {
        ModelFolder f;
        f.put("a.safetensors", file_of(shapes, {{"model_version", version}}));
        const Model m = f.open();
        CHECK(m.generation().name == name);
    };
    check(checkpoint_tensors(), "LTX-2.3");
    for (const char * version : {"2.3.0", "2.4.1-rc1", "2-3", "2.5"})
        check(checkpoint_tensors(), "LTX-2.3", version);
    for (const char * version : {"2.0", "2", "2.5.0-rc2"})
        check(checkpoint_with({{diffusion + "keyframes_abs_pos_embedding", {1, 8}}}), "LTX-2.5",
              version);
    check(checkpoint_with({}, diffusion + "transformer_blocks.0.ff.net.0.proj.bias"), "LTX-2.5");
    Shapes old = checkpoint_with({{diffusion + "caption_projection.linear_1.weight", {8, 8}}},
                                 "text_embedding_projection.video_aggregate_embed.weight");
    old.erase("text_embedding_projection.video_aggregate_embed.bias");
    check(old, "LTX-2.0");
    old[diffusion + "transformer_blocks.0.scale_shift_table"] = {6, 8};
    check(old, "LTX-2.0", "2.0");
}

TEST(generations_are_not_mixed) {
    const Shapes old = {{"text_embedding_projection.aggregate_embed.weight", {8, 8}}};
    Shapes checkpoint = checkpoint_tensors() + old;
    for (const char * name : {"weight", "bias"})
        checkpoint.erase("text_embedding_projection.video_aggregate_embed." + std::string(name));
    check_skipped("other.safetensors", file_of(checkpoint, {{"model_version", "2.3"}}),
                  "its text projection is of LTX-2.0, and its diffusion transformer of LTX-2.3; "
                  "give them of one");
    ModelFolder f;
    whole(f);
    Shapes dit;
    for (const auto & [name, shape] :
         checkpoint_with({{diffusion + "keyframes_abs_pos_embedding", {1, 8}}}))
        if (name.find(diffusion) == 0 && name.find("connector") == std::string::npos)
            dit[name] = shape;
    f.put("dit.safetensors", file_of(dit, {{"model_version", "2.5"}}));
    f.put("rest.safetensors", file_of(real_vae));
    const Model apart({f.at("dit.safetensors"), f.at("rest.safetensors")});
    apart.check_generations(); // a video VAE that states nothing fits
    CHECK(apart.generation().crf == 18 &&
          apart.generation().sampler == std::string("ancestral_euler"));
    f.put("text.safetensors", file_of(real_projection, {{"model_version", "2.3"}}));
    CHECK_THROWS(Model({f.at("dit.safetensors"), f.at("text.safetensors")}).check_generations(),
                 "text.safetensors: its text projection is of LTX-2.3, and the diffusion "
                 "transformer of");
}

TEST(other_versions_are_skipped) {
    const auto check = [](const Shapes & shapes, const char * problem,
                          const std::map<std::string, std::string> & meta = {}) {
        check_skipped("other.safetensors", file_of(shapes, meta), problem);
    };
    check(checkpoint_with({{diffusion + "caption_projection.linear_1.weight", {8, 4096}}}),
          "is LTX-Video, older than LTX-2");
    check(checkpoint_with({{"vae.decoder.last_time_embedder.linear_1.bias", {8}}}),
          "is LTX-Video, older than LTX-2");
    for (const char * version : {"2.6", "3.0.0", "1.9", "0.9.8", "x", "-2.3", "2.100"})
        check(checkpoint_tensors(), words("states model_version \"%s\"", version).c_str(),
              {{"model_version", version}});
    check(prefixed("vae.", vae_tensors),
          "its video VAE has other sizes than that of LTX-2.0, LTX-2.3 or LTX-2.5, and it states ");
    check_skipped("other.safetensors",
                  file_of(checkpoint_tensors(), {{"model_version", "2.3"}}, "F8_E4M3FNUZ"),
                  "is F8_E4M3FNUZ, which is not computed with");
}

TEST(config_comes_from_the_file_or_the_table) {
    const auto with = [](const std::string & text) {
        return file_of(checkpoint_tensors(), {{"config", text}, {"model_version", "2.3"}});
    };
    check_skipped("x.safetensors", with("{"), "config: ");
    check_skipped("x.safetensors", with("[]"), "config: is an array");
    check_skipped("x.safetensors", with(R"({"sampling": 7})"), "config sampling: is a number");
    // Without a config the table of LTX-2.3 stands in: 48 layers.
    ModelFolder f;
    f.gemma().put("m.safetensors", file_of(checkpoint_tensors(), {{"model_version", "2.3"}}));
    const Model m = f.open();
    CHECK(m.need("dit").group("transformer").integer("num_layers", 0, 0, 99) == 48);
    CHECK(m.need("video_vae").group("vae").integer("latent_channels", 0, 0, 999) == 128);
    CHECK(!m.need("dit").group("sampling").find("steps"));
}

static const Shapes last = {{"model.norm.weight", {8}},
                            {"model.layers.1.self_attn.q_proj.weight", {8, 8}}};

static Shapes all_but_last() {
    Shapes first = prefixed("model.", gemma_tensors());
    for (const auto & entry : last)
        first.erase(entry.first);
    return first;
}

TEST(shards_belong_together) {
    ModelFolder f;
    f.checkpoint().gemma();
    f.put("gemma/model.safetensors.index.json", R"({"weight_map": {"a": "one.safetensors",
        "b": "two.safetensors", "c": "one.safetensors"}})");
    fs::remove(f.at("gemma/model.safetensors"));
    f.put("gemma/one.safetensors", file_of(all_but_last()));
    const char * missing = "two.safetensors, which belongs to it, is missing";
    CHECK_THROWS(f.open().need_all(), missing);
    CHECK_THROWS(Model({f.at("gemma/one.safetensors")}), missing);
    f.put("gemma/two.safetensors", file_of(last));
    CHECK(tensors(f.open(), "text_encoder").count("blk.1.attn_q.weight"));
    CHECK(f.open().need("text_encoder").whole == f.at("gemma"));
    Model({f.at("gemma/one.safetensors"), f.at("gemma/two.safetensors")}).need("text_encoder");
    // A copy of the whole next to its shards is no second text encoder.
    f.gemma();
    CHECK(f.open().need("text_encoder").whole == f.at("gemma"));
    f.put("gemma/model.safetensors.index.json", R"({"weight_map": {"a": "one.safetensors",
        "b": "two.safetensors", "c": "three.safetensors"}})");
    fs::remove(f.at("gemma/model.safetensors"));
    CHECK_THROWS(f.open().need_all(), "three.safetensors, which belongs to it, is missing");
}

TEST(shards_are_known_by_their_names_too) {
    ModelFolder f;
    f.checkpoint().gemma();
    fs::remove(f.at("gemma/model.safetensors"));
    f.put("gemma/model-00001-of-00002.safetensors", file_of(all_but_last()));
    CHECK_THROWS(f.open().need_all(), "model-00002-of-00002.safetensors, which belongs to it");
    f.put("gemma/model.safetensors.index.json", "{"); // a table that is damaged
    f.put("gemma/model-00002-of-00002.safetensors", file_of(last));
    f.open().need_all();
    f.put("gemma/model-00002-of-00002.safetensors", file_of(last).substr(0, 60));
    CHECK_THROWS(f.open().need_all(), "model-00002-of-00002.safetensors: the header");
}

// llama.cpp's: the first states everything, the others only that they belong to it.
TEST(a_split_gguf_is_one_file) {
    const auto shard = [](int number, bool whole) {
        Gguf g = whole ? llama_gemma() : Gguf();
        g.entry("split.no", gguf_u16).put(static_cast<uint16_t>(number - 1));
        g.entry("split.count", gguf_u16).put(uint16_t{2});
        if (!whole)
            g.tensor("blk.0.attn_v.weight", {8, 2}, GGML_TYPE_F32, 0).bytes(64);
        return g.build();
    };
    const std::string one = "gemma-00001-of-00002.gguf", two = "gemma-00002-of-00002.gguf";
    ModelFolder f;
    f.checkpoint().put(one, shard(1, true));
    CHECK_THROWS(f.open().need_all(), "gemma-00002-of-00002.gguf, which belongs to it, is missing");
    f.put(two, shard(2, false));
    const auto check = [&](const std::vector<std::string> & paths) {
        const Model m(paths);
        const Part & text = m.need("text_encoder");
        CHECK(text.tensors.count("blk.0.attn_v.weight") &&
              text.tensors.count("blk.1.attn_q.weight"));
        CHECK(text.file->path == f.at(one) && text.whole == f.name());
    };
    check({f.name()});
    check({f.at(one)}); // one brings the other, whichever it is
    check({f.at(two)});
    check({f.at(two), f.at(one)});
    fs::rename(f.at(one), f.at("a.gguf"));
    fs::remove(f.at(two));
    CHECK_THROWS(f.open().need_all(), "is one of 2 parts; give them in one folder, named "
                                      "NAME-00001-of-00002.gguf");
}

#if !defined(_WIN32) // where few users may make links
// The cache of Hugging Face's hub: links to blobs, and a branch's name that leads to them.
TEST(a_cached_repository_is_its_main_snapshot) {
    ModelFolder f;
    f.gemma();
    const std::string cache = "hub/models--google--gemma-3-12b-it/";
    for (const char * name : {"config.json", "model.safetensors"}) {
        fs::create_directories(f.at(cache + "blobs"));
        fs::rename(f.at(std::string("gemma/") + name), f.at(cache + "blobs/" + name + ".blob"));
        for (const char * commit : {"0ddba11", "c0ffee5"}) {
            fs::create_directories(f.at(cache + "snapshots/" + commit));
            fs::create_symlink("../../blobs/" + std::string(name) + ".blob",
                               f.at(cache + "snapshots/" + commit + "/" + name));
        }
    }
    const std::string repository = f.at(cache.substr(0, cache.size() - 1));
    const auto found = [&](const std::string & path) {
        return Model({path}).need("text_encoder").file->path;
    };
    f.put(cache + "refs/main", "c0ffee5");
    const std::string file = f.at(cache + "snapshots/c0ffee5/model.safetensors");
    CHECK(found(repository) == file);
    CHECK(found(f.at("hub")) == file); // the cache itself
    CHECK(found(f.at(cache + "snapshots/c0ffee5")) == file);
    for (const char * wrong : {"c0ffee6", "../c0ffee5", "..", "/", "\n"}) {
        f.put(cache + "refs/main", wrong);
        CHECK_THROWS(found(repository), "the snapshot that refs/main names is not there");
    }
}
#endif

TEST(numbers_that_count_no_shards_are_only_a_name) {
    for (const char * name :
         {"model-00001-of-00000.safetensors", "model-00003-of-00002.safetensors",
          "model-00000-of-00002.safetensors"}) {
        ModelFolder f;
        f.checkpoint().gemma();
        fs::rename(f.at("gemma/model.safetensors"), f.at(std::string("gemma/") + name));
        f.open().need_all();
    }
}

TEST(each_group_of_a_config_names_its_own_file) {
    ModelFolder f;
    f.gemma();
    f.put("dit.safetensors", file_of(prefixed("diffusion_model.", dit_tensors),
                                     {{"config", config}, {"model_version", "2.3"}}));
    f.put("vae.safetensors",
          file_of(prefixed("vae.", vae_tensors),
                  {{"config", R"({"vae": {"latent_channels": 4}, "sampling": {"steps": 5}})"},
                   {"model_version", "2.3"}}));
    const Model m = f.open();
    CHECK(!m.need("dit").group("sampling").find("steps")); // the VAE's file does not speak for it
    CHECK(m.need("dit").group("transformer").what("x").find("dit.safetensors") ==
          f.name().size() + 1);
}

#if !defined(_WIN32)
TEST(shards_lie_together_by_name) {
    ModelFolder f;
    f.checkpoint().gemma();
    fs::remove(f.at("gemma/model.safetensors"));
    const std::string one = "model-00001-of-00002.safetensors";
    const std::string two = "model-00002-of-00002.safetensors";
    f.put("a/" + one, file_of(all_but_last())).put("b/" + two, file_of(last));
    fs::create_symlink(f.at("a/" + one), f.at("gemma/" + one));
    fs::create_symlink("../b/" + two, f.at("gemma/" + two));
    const std::string checkpoint = f.at("ltx-2.3.safetensors");
    const auto check = [&](const std::vector<std::string> & paths) {
        const Model m(paths);
        m.need_all();
        CHECK(m.need("text_encoder").whole == f.at("gemma"));
    };
    check({checkpoint, f.at("gemma")});
    check({checkpoint, f.at("gemma/" + one), f.at("gemma/" + two)});
    check({f.name()}); // where the links lead is in it as well
    check({f.at("a"), f.at("b"), checkpoint, f.at("gemma")});
    // A folder of another name, of links one by one, and a blob without an ending behind them.
    fs::rename(f.at("a/" + one), f.at("a/blob"));
    fs::remove(f.at("gemma/" + one));
    fs::create_symlink(f.at("a/blob"), f.at("gemma/" + one));
    check({f.name()});
    fs::create_directory_symlink(f.at("gemma"), f.at("other"));
    Model({checkpoint, f.at("other")}).need_all();
    f.open().need_all(); // the same folder by two names
    // Nothing is where the link leads.
    fs::remove(f.at("a/blob"));
    CHECK_THROWS(f.open().need_all(), "there is no such file");
}
#endif

TEST(a_long_list_of_what_was_skipped_is_cut) {
    ModelFolder f;
    f.gemma();
    for (int i = 0; i < 30; ++i)
        f.put(words("a%02d.safetensors", i), file_of({{"a.lora_A.weight", {1}}}));
    f.put("z.safetensors", file_of(checkpoint_tensors(), {{"model_version", "2.6"}}));
    CHECK_THROWS(f.open().need_all(), " and 23 more");
    CHECK_THROWS(f.open().need_all(), "z.safetensors (states model_version \"2.6\""); // first
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
        g.tensor("blk.0.attn_q_norm.weight", {8}, GGML_TYPE_F32, 800);
        g.tensor("blk.0.attn_k_norm.weight", {8}, GGML_TYPE_F32, 832);
        g.tensor("blk.0.post_ffw_norm.weight", {8}, GGML_TYPE_F32, 864);
        const Model m = f.put("gemma.gguf", g.build()).open();
        return tensors(m, "text_encoder").at("token_embd.weight").info->shape;
    };
    CHECK((open({20, 8}) == std::vector<int64_t>{20, 8}));
    CHECK_THROWS(open({20, 9}), "orig_shape.token_embd.weight\": does not hold the tensor's 160");
    CHECK_THROWS(open({-20, -8}), "orig_shape");
    CHECK_THROWS(open({1 << 30, 1 << 30, 1 << 30}), "orig_shape");
}

int main(int argc, char ** argv) { return run_tests(argc, argv); }
