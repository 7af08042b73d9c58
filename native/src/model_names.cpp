#include "model_names.h"

#include <initializer_list>
#include <utility>

namespace ltx2 {

static bool starts(const std::string & text, const char * part) { return text.rfind(part, 0) == 0; }
static bool holds(const std::string & text, const char * part) {
    return text.find(part) != std::string::npos;
}

static bool strip(std::string & name, std::initializer_list<const char *> prefixes) {
    for (const char * prefix : prefixes)
        if (starts(name, prefix)) {
            name.erase(0, std::string(prefix).size());
            return true;
        }
    return false;
}

std::string checkpoint_name(const std::string & official) {
    std::string name = official;
    strip(name, {"model.diffusion_model.", "diffusion_model."});
    if (starts(name, "vocoder.") || holds(name, "audio") || holds(name, "av_ca_") ||
        holds(name, "a2v"))
        return "";
    if (starts(name, "embeddings_connector."))
        return "video_" + name;
    // A file of the VAE alone may leave its prefix out.
    for (const char * part : {"encoder.", "decoder.", "per_channel_statistics."})
        if (starts(name, part))
            return "vae." + name;
    return name;
}

static const char * const hugging_face_prefixes[] = {"language_model.model.",
                                                     "model.language_model.", "model."};

bool is_gemma_name(const std::string & name) {
    if (starts(name, "token_embd.") || starts(name, "blk.") || starts(name, "output_norm."))
        return true;
    for (const char * prefix : hugging_face_prefixes)
        if (starts(name, prefix) && !starts(name, "model.diffusion_model."))
            return true;
    return starts(name, "vision_tower.") || starts(name, "multi_modal_projector.");
}

std::string gemma_name(const std::string & given, float & added) {
    added = 0;
    if (starts(given, "token_embd.") || starts(given, "blk.") || starts(given, "output_norm."))
        return given;
    std::string name = given;
    if (!strip(name, {"language_model.model.", "model.language_model.", "model."}))
        return "";
    if (name == "embed_tokens.weight")
        return "token_embd.weight";
    if (name == "norm.weight") {
        added = 1;
        return "output_norm.weight";
    }
    if (!strip(name, {"layers."}))
        return "";
    const size_t dot = name.find('.');
    if (dot == std::string::npos)
        return "";
    const std::string layer = name.substr(0, dot), rest = name.substr(dot + 1);
    static const std::pair<const char *, const char *> names[] = {
        {"input_layernorm.weight", "attn_norm"},
        {"self_attn.q_proj.weight", "attn_q"},
        {"self_attn.k_proj.weight", "attn_k"},
        {"self_attn.v_proj.weight", "attn_v"},
        {"self_attn.o_proj.weight", "attn_output"},
        {"self_attn.q_norm.weight", "attn_q_norm"},
        {"self_attn.k_norm.weight", "attn_k_norm"},
        {"post_attention_layernorm.weight", "post_attention_norm"},
        {"pre_feedforward_layernorm.weight", "ffn_norm"},
        {"mlp.gate_proj.weight", "ffn_gate"},
        {"mlp.up_proj.weight", "ffn_up"},
        {"mlp.down_proj.weight", "ffn_down"},
        {"post_feedforward_layernorm.weight", "post_ffw_norm"},
    };
    for (const auto & pair : names)
        if (rest == pair.first) {
            added = holds(pair.second, "norm") ? 1.0f : 0.0f;
            return "blk." + layer + "." + pair.second + ".weight";
        }
    return "";
}

} // namespace ltx2
