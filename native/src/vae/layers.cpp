#include "vae/layers.h"

namespace ltx2 {

VaeConv::VaeConv(const Weights & w, int64_t in, int64_t out, Border border, int kernel)
    : weight(w("weight", {in, out, int64_t{kernel} * kernel * kernel}, As::taps)),
      bias(w("bias", {out}, As::f32)), kernel(kernel), border(border) {}

VaeResBlock::VaeResBlock(const Weights & w, int64_t in, int64_t out, Border border)
    : conv1(w / "conv1.conv", in, out, border), conv2(w / "conv2.conv", out, out, border) {
    if (in == out)
        return;
    conv_shortcut.emplace_back(w / "conv_shortcut", in, out, border, 1);
    norm3_weight = w("norm3.weight", {in}, As::f32);
    norm3_bias = w("norm3.bias", {in}, As::f32);
}

namespace {
struct Builder {
    const Weights & root;
    const VaeConfig & config;
    std::vector<VaeLayer> layers;

    VaeConv conv(const Weights & at, int64_t in, int64_t out) const {
        return VaeConv(at / "conv", in, out, config.border);
    }
    void end(const char * name, int64_t in, int64_t out, bool activated) {
        layers.push_back(
            {name, "", in, out, 1, 1, 1, 1, VaeConvLayer{conv(root / name, in, out), activated}});
    }
    void res(const VaeStage & stage, const std::string & path) {
        const bool single = stage.kind == VaeStage::Kind::res_to;
        for (int i = 0; i < stage.layers; ++i) {
            const std::string name = single ? path : path + ".res_blocks." + std::to_string(i);
            layers.push_back({name, "", stage.in, stage.out, 1, 1, 1, 1,
                              VaeResBlock(root / name, stage.in, stage.out, config.border)});
        }
    }
    void strided(const VaeStage & stage, const std::string & path) {
        VaeConv c = conv(root / path, stage.in, stage.out);
        c.stride_time = stage.time;
        c.stride_space = stage.space;
        layers.push_back(
            {path, "", stage.in, stage.out, stage.time, stage.space, 1, 1, VaeConvLayer{c, false}});
    }
    void stage(const VaeStage & stage, const std::string & path, bool down) {
        const size_t before = layers.size();
        if (stage.kind == VaeStage::Kind::strided)
            strided(stage, path);
        else if (stage.kind != VaeStage::Kind::shuffled)
            res(stage, path);
        else if (down)
            layers.push_back(
                {path, "", stage.in, stage.out, stage.time, stage.space, 1, 1,
                 VaeDownsample{conv(root / path / "conv", stage.in, stage.out / stage.parts()),
                               stage}});
        else
            layers.push_back(
                {path, "", stage.in, stage.out, 1, 1, stage.time, stage.space,
                 VaeUpsample{conv(root / path / "conv", stage.in, stage.out * stage.parts()),
                             stage}});
        if (layers.size() > before)
            layers.back().stage = path;
    }
    std::vector<VaeLayer> all(int64_t first_in, const std::string & blocks, bool down) {
        end("conv_in", first_in, config.first_width, false);
        for (size_t i = 0; i < config.stages.size(); ++i)
            stage(config.stages[i], blocks + "." + std::to_string(i), down);
        end("conv_out", config.last_width, config.out_channels, true);
        return std::move(layers);
    }
};
} // namespace

std::vector<VaeLayer> encoder_layers(const Weights & w, const VaeConfig & config) {
    Builder builder{w, config, {}};
    return builder.all(3 * config.patch * config.patch, "down_blocks", true);
}

std::vector<VaeLayer> decoder_layers(const Weights & w, const VaeConfig & config) {
    Builder builder{w, config, {}};
    return builder.all(config.latent_channels, "up_blocks", false);
}

} // namespace ltx2
