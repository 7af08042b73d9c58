#include "model/adapters.h"

#include "base/error.h"
#include "base/log.h"
#include "base/utf8.h"
#include "files/paths.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>

namespace ltx2 {

namespace {

enum class Role { down, up, alpha, scale, refused };

struct Ending {
    std::string_view text;
    Role role;
    const char * what = nullptr; // refused: what such a tensor belongs to
};

// Of a tensor's name, after the module's. The first that fits counts.
constexpr Ending endings[] = {
    {".lora_A.weight", Role::down},
    {".lora_B.weight", Role::up},
    {".lora_A.default.weight", Role::down},
    {".lora_B.default.weight", Role::up},
    {".lora_A", Role::down},
    {".lora_B", Role::up},
    {".lora_down.weight", Role::down},
    {".lora_up.weight", Role::up},
    {".lora.down.weight", Role::down},
    {".lora.up.weight", Role::up},
    {"_lora.down.weight", Role::down},
    {"_lora.up.weight", Role::up},
    {".lora_linear_layer.down.weight", Role::down},
    {".lora_linear_layer.up.weight", Role::up},
    {".alpha", Role::alpha},
    {".scale", Role::scale},
    {".dora_scale", Role::refused, "DoRA"},
    {".lora_magnitude_vector", Role::refused, "DoRA"},
    {".lora_magnitude_vector.weight", Role::refused, "DoRA"},
    {".lora_magnitude_vector.default.weight", Role::refused, "DoRA"},
    {".hada_w1_a", Role::refused, "LoHa"},
    {".lokr_w1", Role::refused, "LoKr"},
    {".lokr_w1_a", Role::refused, "LoKr"},
    {".oft_blocks", Role::refused, "OFT"},
    {".diff", Role::refused, "a difference of whole weights"},
    {".diff_b", Role::refused, "a difference of biases"},
    {".set_weight", Role::refused, "weights in place of the model's"},
};

// Before the module's path, one after another.
constexpr std::string_view prefixes[] = {
    "base_model.model.", "model.diffusion_model.", "diffusion_model.", "transformer.",
    "lora_unet_",        "lora_transformer_",      "lycoris_"};

// The first step of a path, as diffusers calls it, and officially.
constexpr std::pair<std::string_view, std::string_view> renamed[] = {
    {"proj_in", "patchify_proj"},
    {"time_embed", "adaln_single"},
    {"prompt_adaln", "prompt_adaln_single"},
    {"audio_proj_in", "audio_patchify_proj"},
    {"audio_time_embed", "audio_adaln_single"},
    {"audio_prompt_adaln", "audio_prompt_adaln_single"},
    {"av_cross_attn_video_scale_shift", "av_ca_video_scale_shift_adaln_single"},
    {"av_cross_attn_audio_scale_shift", "av_ca_audio_scale_shift_adaln_single"},
    {"av_cross_attn_video_a2v_gate", "av_ca_a2v_gate_adaln_single"},
    {"av_cross_attn_audio_v2a_gate", "av_ca_v2a_gate_adaln_single"},
};

bool ends_with(std::string_view text, std::string_view end) {
    return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

const Ending * ending_of(std::string_view name) {
    for (const Ending & ending : endings)
        if (ends_with(name, ending.text))
            return &ending;
    return nullptr;
}

std::string underscored(std::string_view path) {
    std::string text(path);
    std::replace(text.begin(), text.end(), '.', '_');
    return text;
}

// Finds modules by all that their paths are called.
class Finder {
public:
    explicit Finder(const Modules & modules) : modules_(modules) {
        for (const auto & [path, weight] : modules)
            flat_.emplace(underscored(path), path);
    }
    // The official path, or null.
    const std::string * find(std::string_view given) const {
        for (bool cut = true; cut;) {
            cut = false;
            if (const std::string * path = as_it_is(given))
                return path;
            for (std::string_view prefix : prefixes)
                if (!cut && given.substr(0, prefix.size()) == prefix)
                    given.remove_prefix(prefix.size()), cut = true;
        }
        return nullptr;
    }

private:
    const std::string * as_it_is(std::string_view given) const {
        if (const auto found = modules_.find(given); found != modules_.end())
            return &found->first;
        if (const auto found = flat_.find(given); found != flat_.end())
            return &found->second;
        const size_t dot = given.find('.');
        for (const auto & [theirs, ours] : renamed) {
            if (given.substr(0, dot) != theirs)
                continue;
            const std::string path(std::string(ours) + std::string(given.substr(theirs.size())));
            if (const auto found = modules_.find(path); found != modules_.end())
                return &found->first;
        }
        return nullptr;
    }

    const Modules & modules_;
    std::map<std::string, std::string, std::less<>> flat_; // with underscores in place of dots
};

// A tensor of one value, as a number.
float number_of(const TensorFile & file, const TensorInfo & tensor) {
    float value = NAN;
    if (tensor.elements() == 1 && tensor.type == GGML_TYPE_F32)
        std::memcpy(&value, tensor.data, sizeof value);
    else if (tensor.elements() == 1 &&
             (tensor.type == GGML_TYPE_F16 || tensor.type == GGML_TYPE_BF16)) {
        uint16_t bits; // at any address
        std::memcpy(&bits, tensor.data, sizeof bits);
        ggml_get_type_traits(tensor.type)->to_float(&bits, &value, 1);
    }
    if (!std::isfinite(value))
        fail(LTX2_STATUS_MODEL, "%s: tensor %s is no number", file.path.c_str(),
             shown(tensor.name).c_str());
    return value;
}

static int factor_of(const TensorFile & file, const char * key) {
    const std::optional<Json> stated = file.metadata.find(key);
    if (!stated)
        return 0;
    const int most = 64;
    const std::string text = stated->kind() == Json::Kind::string
                                 ? std::string(stated->string(file.path))
                                 : stated->dump();
    const auto refuse = [&] {
        fail(LTX2_STATUS_MODEL, "%s: %s is %s, no whole number in 1..%d", file.path.c_str(), key,
             shown(text).c_str(), most);
    };
    double factor = 0;
    try { // not by strtod, which reads as the process's locale writes
        factor = Json::parse(text, key).number(key);
    } catch (const Error &) {
        refuse();
    }
    if (!(factor >= 1 && factor <= most) || factor != std::floor(factor))
        refuse();
    return static_cast<int>(factor);
}

// alpha / rank as PEFT states it for all modules: in the file's metadata, or in the config next to
// it.
std::optional<double> stated_scale(const TensorFile & file) {
    Json config;
    std::string before;
    if (const auto text = file.metadata.find("lora_adapter_metadata")) {
        config = Json::parse(text->string(file.path), file.path + ": lora_adapter_metadata");
        before = "transformer.";
    } else if (const std::string path = next_to(file.path, "adapter_config.json");
               file_name(file.path) == "adapter_model.safetensors" && exists(path)) {
        config = read_json(path);
    } else {
        return std::nullopt;
    }
    const auto value = [&](const char * name) -> std::optional<Json> {
        const auto own = config.find(before + name);
        return own ? own : config.find(name);
    };
    for (const char * name : {"alpha_pattern", "rank_pattern"})
        if (const auto pattern = value(name);
            pattern && pattern->kind() == Json::Kind::object && !pattern->object(name).empty())
            fail(LTX2_STATUS_MODEL, "%s: has a %s, which is not supported", file.path.c_str(),
                 name);
    const auto alpha = value("lora_alpha"), rank = value("r");
    if (!alpha || !rank)
        return std::nullopt;
    const double scale = alpha->number("lora_alpha") / rank->number("r");
    if (!std::isfinite(scale))
        fail(LTX2_STATUS_MODEL, "%s: lora_alpha / r is no number", file.path.c_str());
    return scale;
}

// What a file has of one module.
struct Pair {
    const TensorInfo *down = nullptr, *up = nullptr, *alpha = nullptr, *scale = nullptr;
};

bool is_matrix(const TensorInfo & tensor, int64_t rows, int64_t columns) {
    return tensor.shape == std::vector<int64_t>{rows, columns};
}

LowRank low_rank(const TensorFile & file, const std::string & path, const Pair & pair,
                 const Source & weight, double scale) {
    if (!pair.down || !pair.up)
        fail(LTX2_STATUS_MODEL, "%s: of %s it has %s alone; it is damaged", file.path.c_str(),
             path.c_str(),
             pair.down ? "the first matrix"
             : pair.up ? "the second matrix"
                       : "a scale");
    const int64_t out = weight.shape()[0], in = weight.shape()[1];
    const int64_t rank = pair.down->shape.empty() ? 0 : pair.down->shape[0];
    if (rank < 1 || !is_matrix(*pair.down, rank, in) || !is_matrix(*pair.up, out, rank))
        fail(LTX2_STATUS_MODEL,
             "%s: its matrices for %s do not fit: the model's has %lld inputs and %lld outputs; it "
             "is for another model",
             file.path.c_str(), path.c_str(), static_cast<long long>(in),
             static_cast<long long>(out));
    if (pair.alpha)
        scale = double{number_of(file, *pair.alpha)} / static_cast<double>(rank);
    else if (pair.scale)
        scale = number_of(file, *pair.scale);
    LowRank low;
    low.down.info = pair.down, low.down.file = &file;
    low.up.info = pair.up, low.up.file = &file;
    for (const Source * source : {&low.down, &low.up})
        check_type(*source, shown(source->info->name), source->shape().back());
    low.scale = static_cast<float>(scale);
    return low;
}

std::string some_of(const std::vector<std::string> & names) {
    std::string text;
    for (size_t i = 0; i < names.size() && i < 3; ++i)
        text += (i ? ", " : "") + shown(names[i]);
    return names.size() > 3 ? text + ", ..." : text;
}

} // namespace

std::map<std::string, LowRank> read_adapter(const TensorFile & file, const Modules & modules,
                                            const Adapter & adapter) {
    const Finder finder(modules);
    std::map<std::string, Pair> pairs;
    std::vector<std::string> unknown; // modules, or tensors that are of no module
    for (const TensorInfo & tensor : file.tensors) {
        const Ending * ending = ending_of(tensor.name);
        if (ending && ending->role == Role::refused)
            fail(LTX2_STATUS_MODEL, "%s: tensor %s is of %s, which is not supported; give a LoRA",
                 file.path.c_str(), shown(tensor.name).c_str(), ending->what);
        std::string_view name = tensor.name;
        if (ending)
            name.remove_suffix(ending->text.size());
        const std::string * path = ending ? finder.find(name) : nullptr;
        if (!path) {
            if (unknown.empty() || unknown.back() != name)
                unknown.emplace_back(name);
            continue;
        }
        Pair & pair = pairs[*path];
        const TensorInfo *& place = ending->role == Role::down    ? pair.down
                                    : ending->role == Role::up    ? pair.up
                                    : ending->role == Role::alpha ? pair.alpha
                                                                  : pair.scale;
        if (place)
            fail(LTX2_STATUS_MODEL, "%s: has %s and %s, which are the same", file.path.c_str(),
                 shown(place->name).c_str(), shown(tensor.name).c_str());
        place = &tensor;
    }
    if (pairs.empty())
        fail(LTX2_STATUS_MODEL,
             "%s: changes nothing of this model: none of its tensors, as %s, is for a matrix of it",
             file.path.c_str(), unknown.empty() ? "none" : some_of(unknown).c_str());
    if (!unknown.empty())
        log(Level::warning, "%s: changes %zu matrices; %zu that it names are not in this model: %s",
            file.path.c_str(), pairs.size(), unknown.size(), some_of(unknown).c_str());
    const double scale = stated_scale(file).value_or(1.0);
    std::map<std::string, LowRank> all;
    for (const auto & [path, pair] : pairs) {
        LowRank low = low_rank(file, path, pair, *modules.find(path)->second, scale);
        low.adapter = &adapter;
        all.emplace(path, std::move(low));
    }
    return all;
}

Json about(const Adapter & adapter) {
    return Json::Object{{"file", file_name(adapter.path)}, {"strength", double{adapter.given}}};
}

void read_reference_factors(const TensorFile & file, Adapter & adapter) {
    adapter.downscale = factor_of(file, "reference_downscale_factor");
    adapter.temporal = factor_of(file, "reference_temporal_scale_factor");
}

} // namespace ltx2
