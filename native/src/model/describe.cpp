#include "model/describe.h"

#include "base/utf8.h"

#include <cinttypes>
#include <map>

namespace ltx2 {

namespace {

struct Sign {
    const char * role;
    const char * name; // how a tensor's name ends, or begins, without model.diffusion_model.
    bool begins;
};

// A tensor that each part has, in every naming that is accepted.
constexpr Sign signs[] = {
    {"text encoder", "token_embd.weight", false},
    {"text encoder", "embed_tokens.weight", false},
    {"text encoder", ".attn_norm.weight", false}, // a further file of a split one
    {"text encoder", ".input_layernorm.weight", false},
    {"projection", "video_aggregate_embed.weight", false},
    {"projection", "text_embedding_projection.aggregate_embed.weight", false},
    {"connector", "video_embeddings_connector.", true},
    {"connector", "embeddings_connector.", true},
    {"dit", "transformer_blocks.0.attn1.to_q.weight", true},
    {"video vae", "vae.encoder.", true},
    {"video vae", "vae.decoder.", true},
    {"video vae", "encoder.down_blocks.", true},
    {"video vae", "decoder.up_blocks.", true},
    {"audio vae", "audio_vae.", true},
    {"vocoder", "vocoder.", true},
    {"lora", ".lora_A.weight", false},
};

bool matches(const Sign & sign, std::string_view name) {
    const std::string_view wanted = sign.name;
    return wanted.size() <= name.size() &&
           name.substr(sign.begins ? 0 : name.size() - wanted.size(), wanted.size()) == wanted;
}

std::string short_value(const Json & value) {
    switch (value.kind()) {
    case Json::Kind::null:
        return "null";
    case Json::Kind::boolean:
        return value.boolean("") ? "true" : "false";
    case Json::Kind::number:
        break;
    case Json::Kind::string:
        return shown(value.string(""), 60);
    case Json::Kind::object:
        return words("{%zu keys}", value.object("").size());
    case Json::Kind::array: {
        const Json::Array & values = value.array("");
        std::string out = "[";
        for (size_t i = 0; i < values.size() && i < 6; ++i) {
            const bool nested = values[i].kind() == Json::Kind::array;
            out += (i > 0 ? ", " : "") + (nested ? "[...]" : short_value(values[i]));
        }
        return out + (values.size() > 6 ? words(", ...] (%zu values)", values.size()) : "]");
    }
    }
    return words("%.9g", value.number(""));
}

std::string joined(const std::vector<std::string> & parts) {
    std::string out;
    for (const std::string & part : parts) {
        out += (out.empty() ? "" : ", ") + part;
    }
    return out.empty() ? "none known" : out;
}

} // namespace

std::vector<std::string> roles(const ModelFile & file) {
    std::vector<std::string> out;
    for (const Sign & sign : signs) {
        if (!out.empty() && out.back() == sign.role) {
            continue;
        }
        for (const TensorInfo & tensor : file.tensors) {
            std::string_view name = tensor.name;
            const std::string_view prefix = "model.diffusion_model.";
            if (name.substr(0, prefix.size()) == prefix) {
                name.remove_prefix(prefix.size());
            }
            if (matches(sign, name)) {
                out.push_back(sign.role);
                break;
            }
        }
    }
    return out;
}

std::string describe(const ModelFile & file) {
    struct Sum {
        uint64_t tensors = 0, elements = 0, bytes = 0;
    };
    std::map<std::string, Sum> by_type;
    Sum all;
    for (const TensorInfo & tensor : file.tensors) {
        for (Sum * sum : {&all, &by_type[tensor.dtype]}) {
            sum->tensors += 1;
            sum->elements += static_cast<uint64_t>(tensor.elements());
            sum->bytes += tensor.size;
        }
    }
    std::string out = "file: " + file.path + "\n";
    out += "format: " + file.format + "\n";
    out += "roles: " + joined(roles(file)) + "\n";
    out += words("tensors: %" PRIu64 "\nparameters: %" PRIu64 "\nbytes: %" PRIu64 "\n", all.tensors,
                 all.elements, all.bytes);
    for (const auto & [type, sum] : by_type) {
        out += words("type %s: %" PRIu64 " tensors, %" PRIu64 " parameters, %" PRIu64 " bytes\n",
                     type.c_str(), sum.tensors, sum.elements, sum.bytes);
    }
    for (const auto & [key, value] : file.metadata.object(file.path + ": metadata")) {
        const std::string name = shown(key, 200);
        out += "metadata " + name.substr(1, name.size() - 2) + ": " + short_value(value) + "\n";
    }
    for (const TensorInfo & tensor : file.tensors) {
        std::string shape;
        for (const int64_t dimension : tensor.shape) {
            shape += (shape.empty() ? "" : ", ") + std::to_string(dimension);
        }
        const std::string name = shown(tensor.name, 1000);
        out += "tensor " + name.substr(1, name.size() - 2) + ": " + tensor.dtype + " [" + shape +
               "]\n";
    }
    return out;
}

} // namespace ltx2
