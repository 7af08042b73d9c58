#include "model/parts.h"

#include <initializer_list>
#include <utility>

namespace ltx2 {

using View = std::string_view;

static bool starts(View text, View part) { return text.substr(0, part.size()) == part; }
static bool holds(View text, View part) { return text.find(part) != View::npos; }

static bool strip(View & name, std::initializer_list<const char *> prefixes) {
    for (const char * prefix : prefixes)
        if (starts(name, prefix)) {
            name.remove_prefix(View(prefix).size());
            return true;
        }
    return false;
}

enum Row { text_encoder, projection, connector, dit, video_vae };

const std::vector<PartRow> & part_rows() {
    static const char * const checkpoint = "an LTX-2.3 checkpoint: the official .safetensors, or "
                                           "the .gguf `ltx2 convert` makes of it";
    static const char * const gemma = "Gemma 3 12B: a .gguf, or its Hugging Face folder";
    static const char * const inside = "model.diffusion_model.";
    static const std::vector<PartRow> rows = {
        {"text_encoder", "text encoder", Need::always, gemma, true, {}, ""},
        {"projection", "text projection", Need::always, checkpoint, false, {"transformer"}, ""},
        {"connector", "text connector", Need::always, checkpoint, false, {"transformer"}, inside},
        {"dit",
         "diffusion transformer",
         Need::always,
         checkpoint,
         false,
         {"transformer", "sampling"},
         inside},
        {"video_vae", "video VAE", Need::always, checkpoint, false, {"vae"}, ""},
    };
    return rows;
}

static Place in(Row row, std::string name, float added = 0) {
    return {&part_rows()[static_cast<size_t>(row)], std::move(name), added};
}

static bool is_llama_name(View name) {
    return starts(name, "token_embd.") || starts(name, "blk.") || starts(name, "output_norm.");
}

// A name that only Hugging Face's Gemma has; a shard may hold any part of it.
static bool is_hugging_face_name(View name) {
    if (strip(name, {"language_model.model.", "model.language_model."}))
        return true;
    strip(name, {"model."});
    return name == "embed_tokens.weight" ||
           (starts(name, "layers.") && (holds(name, ".self_attn.") || holds(name, ".mlp.") ||
                                        holds(name, "layernorm.weight")));
}

// Names of sound, inside the DiT and beside it.
static bool is_audio(View name) {
    return starts(name, "vocoder.") || holds(name, "audio") || holds(name, "av_ca_") ||
           holds(name, "a2v");
}

Naming::Naming(const ModelFile & file) {
    bool llama = false;
    for (const TensorInfo & tensor : file.tensors) {
        View name = tensor.name;
        strip(name, {"model.diffusion_model.", "diffusion_model."});
        lora = lora || holds(name, ".lora_A.") || holds(name, ".lora_down.");
        audio = audio || is_audio(name);
        gemma = gemma || is_hugging_face_name(name);
        llama = llama || is_llama_name(name);
        bare_vae_ =
            bare_vae_ || starts(name, "encoder.down_blocks.") || starts(name, "decoder.up_blocks.");
        if (starts(name, "transformer_blocks.") && holds(name, ".attn1.norm_q."))
            fail(LTX2_STATUS_MODEL,
                 "%s: has the tensor names of diffusers, which are not read; "
                 "the single-file checkpoint of LTX-2.3 is",
                 file.path.c_str());
    }
    gemma = gemma || llama;
}

static std::string gemma_layer_part(View part) {
    static const std::pair<View, const char *> names[] = {
        {"input_layernorm", "attn_norm"},
        {"self_attn.q_proj", "attn_q"},
        {"self_attn.k_proj", "attn_k"},
        {"self_attn.v_proj", "attn_v"},
        {"self_attn.o_proj", "attn_output"},
        {"self_attn.q_norm", "attn_q_norm"},
        {"self_attn.k_norm", "attn_k_norm"},
        {"post_attention_layernorm", "post_attention_norm"},
        {"pre_feedforward_layernorm", "ffn_norm"},
        {"mlp.gate_proj", "ffn_gate"},
        {"mlp.up_proj", "ffn_up"},
        {"mlp.down_proj", "ffn_down"},
        {"post_feedforward_layernorm", "post_ffw_norm"},
    };
    const View ending = ".weight";
    if (part.size() <= ending.size() || part.substr(part.size() - ending.size()) != ending)
        return "";
    part.remove_suffix(ending.size());
    for (const auto & pair : names)
        if (part == pair.first)
            return pair.second;
    return "";
}

static Place gemma_place(View name) {
    if (is_llama_name(name))
        return in(text_encoder, std::string(name));
    strip(name, {"language_model.model.", "model.language_model.", "model."});
    if (name == "embed_tokens.weight")
        return in(text_encoder, "token_embd.weight");
    if (name == "norm.weight")
        return in(text_encoder, "output_norm.weight", 1);
    if (!strip(name, {"layers."}))
        return {};
    const size_t dot = name.find('.');
    const std::string part = dot == View::npos ? "" : gemma_layer_part(name.substr(dot + 1));
    if (part.empty())
        return {};
    const float added = holds(part, "norm") ? 1.0f : 0.0f;
    return in(text_encoder, "blk." + std::string(name.substr(0, dot)) + "." + part + ".weight",
              added);
}

static bool is_dit_name(View name) {
    for (View part : {"transformer_blocks.", "patchify_proj.", "adaln_single.",
                      "prompt_adaln_single.", "caption_projection.", "proj_out."})
        if (starts(name, part))
            return true;
    return name == "scale_shift_table" || name == "keyframes_abs_pos_embedding";
}

static bool is_unread_statistic(View name) {
    return strip(name, {"per_channel_statistics."}) && name != "mean-of-means" &&
           name != "std-of-means";
}

Place Naming::place(const std::string & given) const {
    View name = given;
    if (lora)
        return {};
    if (gemma)
        return gemma_place(name);
    const bool inside = strip(name, {"model.diffusion_model.", "diffusion_model."});
    if (is_audio(name))
        return {};
    const std::string text(name);
    if (starts(name, "video_embeddings_connector."))
        return in(connector, text);
    if (starts(name, "embeddings_connector."))
        return in(connector, "video_" + text);
    if (is_dit_name(name))
        return in(dit, text);
    if (inside)
        return {};
    if (starts(name, "text_embedding_projection."))
        return in(projection, text);
    if (starts(name, "video_aggregate_embed."))
        return in(projection, "text_embedding_projection." + text);
    View part = name;
    const bool prefixed = strip(part, {"vae."});
    for (View half : {"encoder.", "decoder.", "per_channel_statistics."})
        if (starts(part, half) && (prefixed || bare_vae_) && !is_unread_statistic(part))
            return in(video_vae, "vae." + std::string(part));
    return {};
}

} // namespace ltx2
