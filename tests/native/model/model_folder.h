// Files that make a model by their names, shapes and config. Their values are never read, so
// shapes need not fit each other.
#pragma once

#include "bytes.h"
#include "folder.h"
#include "model/model.h"

#include <map>

using Shapes = std::map<std::string, std::vector<int64_t>>;

inline std::string quoted(const std::string & text) {
    std::string out = "\"";
    for (char c : text)
        out += c == '"' ? "\\\"" : c == '\n' ? " " : std::string(1, c);
    return out + "\"";
}

// Safetensors of F32 (or `dtype` of the size of four bytes a value) with strings in the metadata.
inline std::string file_of(const Shapes & shapes,
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

inline Shapes prefixed(const std::string & prefix, const Shapes & shapes) {
    Shapes out;
    for (const auto & [name, shape] : shapes)
        out[prefix + name] = shape;
    return out;
}

inline Shapes operator+(Shapes a, const Shapes & b) {
    a.insert(b.begin(), b.end());
    return a;
}

inline const Shapes dit_tensors = {{"patchify_proj.weight", {8, 4}},
                                   {"proj_out.weight", {4, 8}},
                                   {"adaln_single.linear.bias", {72}},
                                   {"prompt_adaln_single.linear.bias", {16}},
                                   {"transformer_blocks.0.scale_shift_table", {9, 8}},
                                   {"transformer_blocks.0.attn1.q_norm.weight", {8}},
                                   {"transformer_blocks.0.attn1.to_q.weight", {8, 8}},
                                   {"transformer_blocks.0.ff.net.0.proj.weight", {8, 8}},
                                   {"transformer_blocks.0.ff.net.0.proj.bias", {8}},
                                   {"transformer_blocks.1.scale_shift_table", {9, 8}},
                                   {"scale_shift_table", {2, 8}}};
inline const Shapes sound = {{"model.diffusion_model.audio_patchify_proj.weight", {2, 2}},
                             {"model.diffusion_model.transformer_blocks.0."
                              "scale_shift_table_a2v_ca_video",
                              {5, 2}},
                             {"model.diffusion_model.av_ca_a2v_gate_adaln_single.linear.bias", {2}},
                             {"audio_vae.encoder.conv_in.conv.weight", {2, 2, 3, 3}},
                             {"audio_vae.decoder.conv_in.conv.weight", {2, 2, 3, 3}},
                             {"audio_vae.decoder.conv_out.conv.weight", {2, 2, 3, 3}},
                             {"vocoder.vocoder.conv_pre.weight", {2, 128, 7}},
                             {"vocoder.vocoder.conv_post.weight", {2, 2, 7}},
                             {"text_embedding_projection.audio_aggregate_embed.bias", {2}}};
inline const Shapes connector_tensors = {{"learnable_registers", {16, 8}},
                                         {"transformer_1d_blocks.0.attn1.q_norm.weight", {8}}};
inline const Shapes projection_tensors = {{"video_aggregate_embed.weight", {8, 24}}};
inline const Shapes vae_tensors = {{"encoder.down_blocks.0.res_blocks.0.conv1.conv.bias", {8}},
                                   {"decoder.up_blocks.0.res_blocks.0.conv1.conv.bias", {8}},
                                   {"decoder.conv_in.conv.weight", {4, 4, 1, 1, 1}},
                                   {"per_channel_statistics.mean-of-means", {4}},
                                   {"per_channel_statistics.std-of-means", {4}}};
inline const std::string config = R"({"transformer": {"num_layers": 2, "in_channels": 4,
    "connector_text_length": 32, "connector_num_layers": 1},
    "vae": {"latent_channels": 4}})";

inline Shapes checkpoint_tensors() {
    return prefixed("model.diffusion_model.", dit_tensors) +
           prefixed("model.diffusion_model.video_embeddings_connector.", connector_tensors) +
           prefixed("text_embedding_projection.", projection_tensors) +
           prefixed("vae.", vae_tensors) + sound;
}

inline Shapes gemma_tensors(int layers = 2) {
    Shapes t = {{"embed_tokens.weight", {20, 8}}, {"norm.weight", {8}}};
    for (int i = 0; i < layers; ++i) {
        const std::string layer = "layers." + std::to_string(i) + ".";
        for (const char * norm :
             {"input_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm",
              "self_attn.q_norm", "self_attn.k_norm"})
            t[layer + norm + ".weight"] = {8};
        t[layer + "self_attn.q_proj.weight"] = t[layer + "mlp.down_proj.weight"] = {8, 8};
    }
    return t;
}

inline const std::string gemma_json = R"("hidden_size": 8, "intermediate_size": 16,
    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 6,
    "sliding_window": 7)";

// A folder for files that make a model.
struct ModelFolder : Folder {
    ModelFolder & put(const std::string & name, const std::string & bytes) {
        Folder::put(name, bytes);
        return *this;
    }
    ModelFolder & checkpoint(const std::string & with = config,
                             const Shapes & shapes = checkpoint_tensors(),
                             const std::string & name = "ltx-2.3.safetensors") {
        return put(name, file_of(shapes, {{"config", with}, {"model_version", "2.3.0"}}));
    }
    ModelFolder & gemma(const std::string & more = "", const Shapes & shapes = gemma_tensors()) {
        put("gemma/config.json", "{\"model_type\": \"gemma3_text\", " + gemma_json + more + "}");
        return put("gemma/model.safetensors", file_of(prefixed("model.", shapes)));
    }
    ltx2::Model open() const { return ltx2::Model({name()}); }
};

// A text encoder as llama.cpp writes it.
inline Gguf llama_gemma(const std::string & architecture = "gemma3", uint32_t layers = 2) {
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
    uint64_t end = 800;
    for (const char * norm : {"attn_q_norm", "attn_k_norm", "ffn_norm", "post_ffw_norm"}) {
        g.tensor(std::string("blk.0.") + norm + ".weight", {8}, GGML_TYPE_F32, end).bytes(32);
        end += 32;
    }
    return g;
}
