#include "vae/config.h"

#include "base/utf8.h"

#include <algorithm>

namespace ltx2 {

static constexpr int64_t most_channels = 16384;

static Border border_of(const Config & vae, const char * otherwise) {
    const std::string mode = vae.text("spatial_padding_mode", otherwise);
    if (mode == "zeros")
        return Border::zeros;
    if (mode == "reflect")
        return Border::reflect;
    if (mode == "replicate")
        return Border::replicate;
    if (mode == "circular")
        return Border::circular;
    vae.refuse("spatial_padding_mode", shown(mode) + " is unknown");
}

static VaeConfig common(const Config & vae, const char * border, const char * channels) {
    vae.integer("dims", 3, 3, 3);
    vae.require("norm_layer", "pixel_norm", "pixel_norm");
    VaeConfig c;
    c.latent_channels = vae.integer(channels, 128, 1, 4096);
    c.patch = vae.integer("patch_size", 4, 1, 16);
    c.border = border_of(vae, border);
    return c;
}

// "compress_time", "compress_space_res", ...: the strides by the word in the middle.
static void set_strides(VaeStage & stage) {
    const bool all = stage.name.compare(0, 12, "compress_all") == 0;
    stage.time = all || stage.name.compare(0, 13, "compress_time") == 0 ? 2 : 1;
    stage.space = all || stage.name.compare(0, 14, "compress_space") == 0 ? 2 : 1;
}

namespace {
// One entry of a block list: [name, layers] or [name, {options}].
struct Entry {
    std::string key, name;
    Json value; // object or number
    Config options;

    Entry(const Json & json, const std::string & list, size_t i)
        : key(list + "." + std::to_string(i)), name(pair(json)[0].string(key)),
          value(pair(json)[1]), options(value, key + ".") {
        if (value.kind() != Json::Kind::number)
            value.object(key);
    }
    Json::Array pair(const Json & json) const {
        const Json::Array both = json.array(key);
        if (both.size() != 2)
            fail(LTX2_STATUS_MODEL, "%s: is not a name and its options", key.c_str());
        return both;
    }
    int multiplier(int otherwise) const { return options.integer("multiplier", otherwise, 1, 64); }
    int layers() const {
        const int most = 64;
        if (value.kind() != Json::Kind::number)
            return options.integer("num_layers", 0, most);
        const int64_t n = value.integer(key);
        if (n < 0 || n > most)
            fail(LTX2_STATUS_MODEL, "%s: %lld layers are not in 0..%d", key.c_str(),
                 static_cast<long long>(n), most);
        return static_cast<int>(n);
    }
    [[noreturn]] void unsupported(const std::string & what) const {
        fail(LTX2_STATUS_MODEL, "%s: %s is not supported", key.c_str(), what.c_str());
    }
    // `channels` must be a multiple of `parts`, or the blocks do not fit together.
    void divides(int64_t channels, int64_t parts) const {
        if (channels < 1 || channels > most_channels || channels % parts)
            fail(LTX2_STATUS_MODEL, "%s: %lld channels do not make %lld equal parts", key.c_str(),
                 static_cast<long long>(channels), static_cast<long long>(parts));
    }
};
} // namespace

static VaeStage encoder_stage(const Entry & entry, int64_t in) {
    VaeStage stage{VaeStage::Kind::res, entry.name, in, in};
    const std::string & name = entry.name;
    if (name == "res_x") {
        stage.layers = entry.layers();
    } else if (name == "res_x_y") {
        stage.kind = VaeStage::Kind::res_to;
        stage.out = in * entry.multiplier(2);
    } else if (name == "compress_time" || name == "compress_space" || name == "compress_all" ||
               name == "compress_all_x_y") {
        stage.kind = VaeStage::Kind::strided;
        set_strides(stage);
        if (name == "compress_all_x_y")
            stage.out = in * entry.multiplier(2);
    } else if (name == "compress_time_res" || name == "compress_space_res" ||
               name == "compress_all_res") {
        stage.kind = VaeStage::Kind::shuffled;
        set_strides(stage);
        stage.out = in * entry.multiplier(2);
        entry.divides(stage.out, stage.parts());
        entry.divides(in * stage.parts(), stage.out);
    } else {
        entry.unsupported(shown(name));
    }
    entry.divides(stage.out, 1);
    return stage;
}

static VaeStage decoder_stage(const Entry & entry, int64_t in) {
    VaeStage stage{VaeStage::Kind::res, entry.name, in, in};
    const std::string & name = entry.name;
    if (entry.options.flag("inject_noise", false))
        entry.unsupported("inject_noise");
    if (name == "res_x") {
        stage.layers = entry.layers();
    } else if (name == "res_x_y") {
        stage.kind = VaeStage::Kind::res_to;
        stage.out = in / entry.multiplier(2);
    } else if (name == "compress_time" || name == "compress_space" || name == "compress_all") {
        stage.kind = VaeStage::Kind::shuffled;
        set_strides(stage);
        const int less = entry.multiplier(1);
        entry.divides(in, less);
        stage.out = in / less;
        stage.residual = name == "compress_all" && entry.options.flag("residual", false);
        if (stage.residual) { // the input's channels, shuffled, are repeated to fill the output's
            entry.divides(in, stage.parts());
            entry.divides(stage.parts(), less);
        }
    } else {
        entry.unsupported(shown(name));
    }
    entry.divides(stage.out, 1);
    return stage;
}

static Json::Array blocks_of(const Config & vae, const char * list) {
    const Json::Array array = vae.array(list);
    if (array.size() > 64)
        vae.refuse(list, words("%zu blocks are more than 64", array.size()));
    return array;
}

static void set_scales(const Config & vae, const char * list, VaeConfig & c) {
    int64_t time = 1, space = c.patch;
    for (const VaeStage & stage : c.stages) {
        time *= stage.time;
        space *= stage.space;
        if (time > 256 || space > 1024)
            vae.refuse(list, "scales over 256 frames or 1024 pixels");
    }
    c.scale = {static_cast<int>(time), static_cast<int>(space)};
    c.last_width = c.stages.empty() ? c.first_width : c.stages.back().out;
}

VaeConfig VaeConfig::encoder(const Config & all) {
    const bool apart = all.find("encoder").has_value();
    const Config vae = apart ? all.at("encoder") : all;
    const char * const list = apart ? "blocks" : "encoder_blocks";
    VaeConfig c = common(vae, "zeros", apart ? "out_channels" : "latent_channels");
    vae.integer("in_channels", 3, 3, 3);
    c.causal = true;
    c.first_width = c.latent_channels;
    const std::string variance = vae.text("latent_log_var", "uniform");
    if (variance == "per_channel")
        c.out_channels = 2 * c.latent_channels;
    else if (variance == "uniform" || variance == "constant")
        c.out_channels = c.latent_channels + 1;
    else // the reference takes half of the channels then, which fits no statistics
        vae.refuse("latent_log_var", shown(variance) + " is not supported");
    const Json::Array blocks = blocks_of(vae, list);
    for (size_t i = 0; i < blocks.size(); ++i)
        c.stages.push_back(encoder_stage(Entry(blocks[i], vae.what(list), i),
                                         i ? c.stages.back().out : c.first_width));
    set_scales(vae, list, c);
    return c;
}

VaeConfig VaeConfig::decoder(const Config & vae) {
    VaeConfig c = common(vae, "reflect", "latent_channels");
    vae.integer("out_channels", 3, 3, 3);
    vae.require_flag("timestep_conditioning", false, true);
    c.causal = vae.flag("causal_decoder", false);
    c.first_width = 8 * vae.integer("decoder_base_channels", 128, 1, most_channels / 8);
    c.out_channels = 3 * c.patch * c.patch;
    const Json::Array blocks = blocks_of(vae, "decoder_blocks");
    for (size_t i = blocks.size(); i-- > 0;) // the list is in the encoder's order
        c.stages.push_back(decoder_stage(Entry(blocks[i], vae.what("decoder_blocks"), i),
                                         c.stages.empty() ? c.first_width : c.stages.back().out));
    set_scales(vae, "decoder_blocks", c);
    return c;
}

void VaeConfig::check(const Grid & latents) const {
    check_size("latents", latents.frames, latents.height, latents.width, 16384 / scale.space);
    check_sides(latents.height, latents.width);
}

void VaeConfig::check_sides(int64_t a, int64_t b) const {
    if (std::min(a, b) < least_side())
        fail(LTX2_STATUS_INVALID_ARGUMENT,
             "video: too small for the model's reflected borders; a side of 64 would do");
}

bool VaeConfig::streams() const {
    for (const VaeStage & stage : stages)
        if (stage.kind == VaeStage::Kind::res_to && stage.in != stage.out)
            return false;
    return true;
}

void check_size(const char * what, int64_t frames, int64_t height, int64_t width, int64_t most) {
    if (frames < 1 || height < 1 || width < 1 || frames > 65536 || height > most || width > most)
        fail(LTX2_STATUS_INVALID_ARGUMENT, "%s: %lld x %lld x %lld is not a size that fits", what,
             static_cast<long long>(frames), static_cast<long long>(height),
             static_cast<long long>(width));
}

} // namespace ltx2
