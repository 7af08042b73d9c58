// Files by their tensors' names and shapes: the model's own in every naming, and strangers.
#include "check.h"
#include "model_folder.h"

#include <set>

using namespace ltx2;

static const std::map<std::string, std::string> version = {{"model_version", "2.3.1"}};

static Contents contents_of(const Shapes & shapes,
                            const std::map<std::string, std::string> & meta = version) {
    static std::list<std::pair<std::string, TensorFile>> files; // contents point at them
    std::string & bytes = files.emplace_back(file_of(shapes, meta), TensorFile()).first;
    TensorFile & file = files.back().second;
    file = read_tensor_file(reinterpret_cast<const uint8_t *>(bytes.data()), bytes.size(), "m");
    return recognise({&file});
}

static std::string ids_of(const Contents & contents) {
    std::string ids;
    for (const Found & found : contents.parts)
        ids += (ids.empty() ? "" : " ") + std::string(found.row->id);
    return ids;
}

TEST(ids_are_unique) {
    std::set<std::string> ids;
    for (const PartRow & row : part_rows())
        CHECK(ids.insert(row.id).second);
    CHECK(ids.size() == part_rows().size());
}

TEST(a_part_is_known_in_every_naming) {
    const auto check = [](const char * id, const std::vector<const char *> & prefixes,
                          const Shapes & shapes, const char * tensor) {
        for (const char * prefix : prefixes) {
            const Contents c = contents_of(prefixed(prefix, shapes));
            CHECK(ids_of(c) == id && c.problem.empty());
            CHECK(c.parts[0].tensors.size() == shapes.size() && c.parts[0].tensors.count(tensor));
        }
    };
    check("dit", {"model.diffusion_model.", "diffusion_model.", ""}, dit_tensors,
          "transformer_blocks.1.scale_shift_table");
    check("connector",
          {"model.diffusion_model.video_embeddings_connector.",
           "model.diffusion_model.embeddings_connector.", "video_embeddings_connector.",
           "embeddings_connector.", "diffusion_model.video_embeddings_connector."},
          connector_tensors, "video_embeddings_connector.learnable_registers");
    check("projection", {"text_embedding_projection.", ""}, projection_tensors,
          "text_embedding_projection.video_aggregate_embed.weight");
    check("video_vae", {"vae.", ""}, vae_tensors, "vae.per_channel_statistics.mean-of-means");
    check("text_encoder", {"language_model.model.", "model.language_model.", "model.", ""},
          gemma_tensors(), "blk.1.attn_q_norm.weight");
}

// Its modulation has six rows, its text one projection, and the transformer another one.
TEST(parts_of_LTX_2_0_are_known) {
    Shapes dit = dit_tensors;
    dit.erase("prompt_adaln_single.linear.bias");
    dit["adaln_single.linear.bias"] = {48};
    for (int i : {0, 1})
        dit[words("transformer_blocks.%d.scale_shift_table", i)] = {6, 8};
    dit["caption_projection.linear_1.weight"] = {8, 3840};
    const Shapes projection = {{"text_embedding_projection.aggregate_embed.weight", {3840, 24}}};
    const std::map<std::string, std::string> stated = {{"model_version", "2.0.0"}};
    for (const char * name : {"", "patchify_proj.weight", "proj_out.weight", "scale_shift_table",
                              "transformer_blocks.0.attn1.q_norm.weight"}) {
        Shapes some = dit; // whichever is missing
        some.erase(name);
        const Contents c = contents_of(prefixed("model.diffusion_model.", some), stated);
        CHECK(ids_of(c) == "dit" && c.problem.empty());
    }
    const Contents text = contents_of(projection, {}); // is known by its sizes too
    CHECK(ids_of(text) == "projection" && text.problem.empty());
}

// One tensor that is missing, or of another shape, is a damage to be named, not another model.
TEST(one_damaged_tensor_does_not_decide) {
    const auto check = [](const char * id, const Shapes & shapes) {
        for (const auto & [name, shape] : shapes) {
            Shapes without = shapes, other = shapes;
            if (without.size() > 1)
                without.erase(name);
            other[name].back() += 1;
            CHECK(ids_of(contents_of(without)) == id);
            CHECK(ids_of(contents_of(other)) == id);
        }
    };
    check("dit", dit_tensors);
    check("text_encoder", gemma_tensors());
    check("video_vae", vae_tensors);
    const Shapes blocks = {{"transformer_1d_blocks.0.attn1.k_norm.weight", {8}},
                           {"transformer_1d_blocks.0.ff.net.0.proj.bias", {32}}};
    check("connector", prefixed("video_embeddings_connector.", connector_tensors + blocks));
    check("projection", prefixed("text_embedding_projection.",
                                 projection_tensors + Shapes{{"video_aggregate_embed.bias", {8}}}));
}

TEST(adapters_are_adapters) {
    const Shapes lora = {{".lora_A.weight", {4, 8}}, {".lora_B.weight", {8, 4}}};
    const std::vector<Shapes> spellings = {
        lora,
        {{".lora_A.default.weight", {4, 8}}, {".lora_B.default.weight", {8, 4}}},
        {{".lora_down.weight", {4, 8}}, {".lora_up.weight", {8, 4}}, {".alpha", {}}},
        {{".lora.down.weight", {4, 8}}, {".lora.up.weight", {8, 4}}},
        {{"_lora.down.weight", {4, 8}}, {"_lora.up.weight", {8, 4}}},
        {{".lora_linear_layer.down.weight", {4, 8}}},
        {{".lokr_w1", {4, 4}}, {".lokr_w2", {2, 2}}, {".alpha", {}}},
        {{".lokr_w1_a", {4, 4}}, {".lokr_w1_b", {4, 4}}, {".lokr_t2", {2, 2}}},
        {{".hada_w1_a", {8, 4}}, {".hada_w1_b", {4, 8}}, {".hada_t1", {4, 4}}},
        {{".diff", {8, 8}}, {".diff_b", {8}}},
        {{".dora_scale", {8, 1}}, {".lora_up.weight", {8, 4}}},
        {{".oft_blocks", {2, 4, 4}}},
    };
    for (const char * prefix : {"", "diffusion_model.", "model.diffusion_model.", "transformer.",
                                "lora_unet_", "base_model.model.", "lycoris_"})
        for (const Shapes & spelling : spellings) {
            const std::string at = std::string(prefix) + "transformer_blocks.0.attn1.to_q";
            for (const std::string & layer : {at, prefix + std::string("scale_shift_table")}) {
                const Contents c = contents_of(prefixed(layer, spelling), {});
                CHECK(ids_of(c) == "adapter" && c.refused);
                CHECK(c.problem ==
                      "is an adapter (LoRA) and no model; give it beside one, as --lora");
            }
        }
    // Of the text encoder, and of every layer of the transformer.
    CHECK(ids_of(contents_of(prefixed("base_model.model.model.layers.0.self_attn.q_proj", lora))) ==
          "adapter");
    Shapes all;
    for (const auto & [name, shape] : dit_tensors)
        all[name.substr(0, name.rfind('.')) + ".lora_A.weight"] = {4, 8};
    CHECK(ids_of(contents_of(all)) == "adapter");
}

static const Shapes pixart = {{"pos_embed.proj.weight", {8, 4, 2, 2}},
                              {"adaln_single.linear.bias", {48}},
                              {"caption_projection.linear_1.weight", {8, 8}},
                              {"transformer_blocks.0.scale_shift_table", {6, 8}},
                              {"transformer_blocks.0.attn1.to_q.weight", {8, 8}},
                              {"scale_shift_table", {2, 8}},
                              {"proj_out.weight", {16, 8}}};
static const Shapes wan = {{"patch_embedding.weight", {8, 4, 1, 2, 2}},
                           {"blocks.0.self_attn.q.weight", {8, 8}},
                           {"blocks.0.self_attn.norm_q.weight", {8}},
                           {"blocks.0.modulation", {1, 6, 8}},
                           {"head.head.weight", {16, 8}}};
static const Shapes flux = {{"double_blocks.0.img_attn.qkv.weight", {24, 8}},
                            {"single_blocks.0.linear1.weight", {8, 8}},
                            {"img_in.weight", {8, 4}}};
static const Shapes sd3 = {{"transformer_blocks.0.attn.to_q.weight", {8, 8}},
                           {"transformer_blocks.0.ff.net.0.proj.weight", {32, 8}},
                           {"proj_out.weight", {4, 8}},
                           {"pos_embed.proj.weight", {8, 4, 2, 2}}};
static const Shapes unet = {{"input_blocks.0.0.weight", {8, 4, 3, 3}},
                            {"middle_block.1.transformer_blocks.0.attn1.to_q.weight", {8, 8}},
                            {"out.2.weight", {4, 8, 3, 3}}};
static const Shapes image_vae = {{"encoder.conv_in.weight", {8, 3, 3, 3}},
                                 {"encoder.down_blocks.0.resnets.0.conv1.weight", {8, 8, 3, 3}},
                                 {"decoder.up_blocks.0.resnets.0.conv1.weight", {8, 8, 3, 3}},
                                 {"decoder.conv_out.weight", {3, 8, 3, 3}},
                                 {"quant_conv.weight", {8, 8, 1, 1}}};
static const Shapes older_vae = {{"encoder.down.0.block.0.conv1.weight", {8, 8, 3, 3}},
                                 {"encoder.mid.block_1.conv1.weight", {8, 8, 3, 3}},
                                 {"decoder.up.0.block.0.conv1.weight", {8, 8, 3, 3}}};
static const Shapes wan_vae = {{"encoder.conv1.weight", {8, 3, 3, 3, 3}},
                               {"encoder.downsamples.0.residual.0.gamma", {8, 1, 1, 1}},
                               {"decoder.upsamples.0.residual.0.gamma", {8, 1, 1, 1}}};
static const Shapes diffusers_vae = {{"encoder.conv_in.conv.weight", {8, 3, 3, 3, 3}},
                                     {"encoder.conv_in.conv.bias", {8}},
                                     {"encoder.down_blocks.0.resnets.0.conv1.conv.bias", {8}},
                                     {"decoder.up_blocks.0.resnets.0.conv1.conv.bias", {8}},
                                     {"latents_mean", {8}},
                                     {"latents_std", {8}}};
static const Shapes t5 = {{"shared.weight", {20, 8}},
                          {"encoder.block.0.layer.0.SelfAttention.q.weight", {8, 8}},
                          {"encoder.final_layer_norm.weight", {8}}};

static Shapes language_model(const std::vector<std::string> & more) {
    Shapes t = {{"model.embed_tokens.weight", {20, 8}}, {"model.norm.weight", {8}}};
    for (const char * name : {"self_attn.q_proj", "self_attn.k_proj", "mlp.gate_proj"})
        t["model.layers.0." + std::string(name) + ".weight"] = {8, 8};
    for (const std::string & name : more)
        t["model.layers.0." + name + ".weight"] = {8};
    return t;
}

TEST(strangers_are_no_part) {
    const Shapes llama = language_model({"input_layernorm", "post_attention_layernorm"});
    const Shapes clip = {{"text_model.encoder.layers.0.self_attn.q_proj.weight", {8, 8}},
                         {"text_model.embeddings.token_embedding.weight", {20, 8}}};
    const Shapes hifi_gan = {{"generator.ups.0.weight", {8, 8, 3}}, {"act.alpha", {8}}};
    for (const Shapes & shapes : {pixart, wan, flux, sd3, unet, image_vae, older_vae, wan_vae, t5,
                                  llama, clip, hifi_gan, Shapes{{"x", {1}}}, Shapes()})
        for (const char * prefix : {"", "model.diffusion_model.", "vae.", "first_stage_model."}) {
            const Contents c = contents_of(prefixed(prefix, shapes), {});
            CHECK(ids_of(c).empty() && c.refused);
            CHECK(c.problem == "holds no part of LTX-2 that is known");
        }
}

TEST(relatives_are_named) {
    const auto problem = [](const Shapes & shapes) { return contents_of(shapes, {}).problem; };
    Shapes ltx_video = dit_tensors + Shapes{{"caption_projection.linear_1.weight", {8, 4096}}};
    ltx_video.erase("prompt_adaln_single.linear.bias");
    ltx_video["adaln_single.linear.bias"] = {48};
    for (int i : {0, 1})
        ltx_video[words("transformer_blocks.%d.scale_shift_table", i)] = {6, 8};
    CHECK(problem(prefixed("model.diffusion_model.", ltx_video)).find("is LTX-Video, older") == 0);
    const Shapes gemma4 = gemma_tensors() + Shapes{{"layers.0.layer_scalar", {1}}};
    CHECK(problem(prefixed("model.", gemma4)).empty());
    const Shapes qwen = language_model({"self_attn.q_norm", "self_attn.k_norm"});
    CHECK(problem(qwen).find("is another language model") == 0);
    const Shapes gemma2 =
        language_model({"pre_feedforward_layernorm", "post_feedforward_layernorm"});
    CHECK(problem(gemma2) ==
          "is Gemma 2 (no blk.#.attn_q_norm.weight), which is not supported; "
          "give Gemma 3 12B, for LTX-2.5 its own Gemma 4: a .gguf, or a Hugging Face folder");
    CHECK(problem(diffusers_vae).find("has the tensor names of diffusers") == 0);
    CHECK(problem({{"transformer_blocks.0.attn1.norm_q.weight", {8}},
                   {"transformer_blocks.0.scale_shift_table", {9, 8}},
                   {"proj_in.weight", {8, 4}}})
              .find("has the tensor names of diffusers") == 0);
    const Shapes upsampler = {{"initial_conv.bias", {8}},
                              {"res_blocks.0.conv1.bias", {8}},
                              {"upsampler.0.weight", {32, 8, 3, 3}},
                              {"post_upsample_res_blocks.3.conv1.bias", {8}},
                              {"final_conv.bias", {4}}};
    CHECK(problem(upsampler).empty() && ids_of(contents_of(upsampler, {})) == "upsampler");
    // Of a video, these are no mistake where the caller names them.
    CHECK(ids_of(contents_of({{"mm.input_projection.weight", {2, 2}}}, {})) == "vision");
}

static const Shapes audio_vae = {{"encoder.conv_in.conv.weight", {8, 2, 3, 3}},
                                 {"encoder.mid.block_1.conv1.conv.weight", {32, 32, 3, 3}},
                                 {"decoder.mid.block_1.conv1.conv.weight", {32, 32, 3, 3}},
                                 {"decoder.conv_in.conv.weight", {32, 8, 3, 3}},
                                 {"decoder.conv_out.conv.weight", {2, 8, 3, 3}},
                                 {"per_channel_statistics.mean-of-means", {128}}};
static const Shapes hifi_gan = {{"conv_pre.weight", {64, 128, 7}}, {"conv_post.weight", {2, 8, 7}}};

TEST(sound_is_told_by_its_shapes) {
    for (const char * prefix : {"", "audio_vae."}) {
        const Contents c = contents_of(prefixed(prefix, audio_vae), {});
        CHECK(ids_of(c) == "audio_vae" && c.problem.empty());
        CHECK(c.parts.at(0).tensors.count("audio_vae.decoder.conv_out.conv.weight"));
        Shapes mono = audio_vae; // and of other sizes, it is none
        for (auto & [name, shape] : mono)
            shape.push_back(3);
        CHECK(ids_of(contents_of(prefixed(prefix, mono), {})).empty());
    }
    for (const char * prefix : {"vocoder.", "vocoder.vocoder.", "vocoder.bwe_generator."}) {
        const Contents c = contents_of(prefixed(prefix, hifi_gan), {});
        CHECK(ids_of(c) == "vocoder" && c.problem.empty());
    }
    CHECK(ids_of(contents_of(hifi_gan, {})).empty());
    const Contents both =
        contents_of(prefixed("audio_vae.", audio_vae) + prefixed("vocoder.", hifi_gan), {});
    CHECK(ids_of(both) == "audio_vae vocoder");
}

TEST(another_text_encoder_is_told_by_its_architecture) {
    for (const char * name : {"llama", "qwen3", "gemma2", "gemma4-assistant", ""}) {
        const std::string bytes = llama_gemma(name).build();
        const TensorFile file =
            read_tensor_file(reinterpret_cast<const uint8_t *>(bytes.data()), bytes.size(), "m");
        CHECK(recognise({&file}).problem == "has the architecture \"" + std::string(name) +
                                                "\", which is not supported; give Gemma 3 12B, "
                                                "for LTX-2.5 its own Gemma 4: a .gguf, or a "
                                                "Hugging Face folder");
    }
    ModelFolder f;
    f.gemma().put("gemma/config.json", R"({"model_type": "gemma3n"})");
    const TensorFile file = read_tensor_file(f.at("gemma/model.safetensors"));
    CHECK(recognise({&file}).problem.find("has the architecture \"gemma3n\"") == 0);
}

TEST(gemma_4_stores_whole_norms) {
    const auto added = [](const Shapes & more) {
        const Contents c = contents_of(prefixed("model.", gemma_tensors() + more), {});
        return c.parts.at(0).tensors.at("output_norm.weight").added;
    };
    CHECK(added({}) == 1);
    CHECK(added({{"layers.0.layer_scalar", {1}}}) == 0);
}

TEST(a_tensor_twice_is_refused) {
    const Contents c = contents_of(prefixed("model.diffusion_model.", dit_tensors) + dit_tensors);
    CHECK(c.problem.find("holds tensor ") == 0 && c.problem.find(" twice") != std::string::npos);
}

int main(int argc, char ** argv) { return run_tests(argc, argv); }
