#include "vae/layers.h"

namespace ltx2 {

Conv3dCall conv3d(const Weights & w, int64_t in, int64_t out, Border border, int kernel,
                  bool flat) {
    Conv3dCall call;
    call.kernel = kernel;
    call.flat = flat;
    call.border = border;
    call.weight = w("weight", {in, out, call.taps()}, As::taps);
    call.bias = w("bias", {out}, As::f32);
    return call;
}

VaeResBlock::VaeResBlock(const Weights & w, int64_t in, int64_t out, Border border)
    : conv1(conv3d(w / "conv1.conv", in, out, border)),
      conv2(conv3d(w / "conv2.conv", out, out, border)) {
    if (in == out)
        return;
    conv_shortcut = conv3d(w / "conv_shortcut", in, out, border, 1);
    norm3_weight = w("norm3.weight", {in}, As::f32);
    norm3_bias = w("norm3.bias", {in}, As::f32);
}

namespace {
struct Builder {
    Weights root;
    const VaeConfig & config;
    std::vector<VaeLayer> layers;

    Conv3dCall conv(const std::string & path, int64_t in, int64_t out) const {
        return conv3d(root / path / "conv", in, out, config.border);
    }
    void end(const char * name, int64_t in, int64_t out, bool activated) {
        layers.push_back({name, in, out, VaeConvLayer{conv(name, in, out), activated}});
    }
    void res(const VaeStage & stage, const std::string & path) {
        const bool single = stage.kind == VaeStage::Kind::res_to;
        for (int i = 0; i < stage.layers; ++i) {
            const std::string name = single ? path : path + ".res_blocks." + std::to_string(i);
            layers.push_back({name, stage.in, stage.out,
                              VaeResBlock(root / name, stage.in, stage.out, config.border)});
        }
    }
    void strided(const VaeStage & stage, const std::string & path) {
        Conv3dCall c = conv(path, stage.in, stage.out);
        c.stride_time = stage.time;
        c.stride_space = stage.space;
        layers.push_back({path, stage.in, stage.out, VaeConvLayer{c, false}});
    }
    void shuffled(const VaeStage & stage, const std::string & path, bool down) {
        const std::string at = path + ".conv";
        const int64_t in = stage.in, out = stage.out, parts = stage.parts();
        if (down)
            layers.push_back({path, in, out, VaeDownsample{conv(at, in, out / parts), stage}});
        else
            layers.push_back({path, in, out, VaeUpsample{conv(at, in, out * parts), stage}});
    }
    void stage(const VaeStage & stage, const std::string & path, bool down) {
        const size_t before = layers.size();
        if (stage.kind == VaeStage::Kind::strided)
            strided(stage, path);
        else if (stage.kind == VaeStage::Kind::shuffled)
            shuffled(stage, path, down);
        else
            res(stage, path);
        if (layers.size() == before)
            return;
        VaeLayer & last = layers.back();
        last.stage = path;
        (down ? last.down_time : last.up_time) = stage.time;
        (down ? last.down_space : last.up_space) = stage.space;
    }
    // The first `head` stages, and conv_in before them, have their weights at the first root.
    std::vector<VaeLayer> all(int64_t first_in, const std::string & blocks, bool down, size_t head,
                              const Weights & after, size_t & head_layers) {
        end("conv_in", first_in, config.first_width, false);
        head_layers = 0;
        for (size_t i = 0; i < config.stages.size(); ++i) {
            stage(config.stages[i], blocks + "." + std::to_string(i), down);
            if (i + 1 == head) {
                root = after;
                head_layers = layers.size();
            }
        }
        end("conv_out", config.last_width, config.out_channels, true);
        return std::move(layers);
    }
};
} // namespace

std::vector<VaeLayer> encoder_layers(const Weights & w, const VaeConfig & config) {
    Builder builder{w, config, {}};
    size_t none;
    return builder.all(3 * config.patch * config.patch, "down_blocks", true, 0, w, none);
}

// How many of the first stages give a video of F32 values that is no larger than its three bytes a
// pixel in the end.
static size_t head_stages(const VaeConfig & config) {
    double growth = static_cast<double>(config.patch * config.patch); // of a value's pixels
    size_t head = 0;
    for (const VaeStage & stage : config.stages)
        growth *= static_cast<double>(stage.parts());
    for (; head < config.stages.size(); ++head) {
        growth /= static_cast<double>(config.stages[head].parts());
        if (sizeof(float) * static_cast<double>(config.stages[head].out) > 3 * growth)
            break;
    }
    return config.streams() ? head : 0;
}

std::vector<VaeLayer> decoder_layers(const Weights & head, const Weights & tail,
                                     const VaeConfig & config, size_t & head_layers) {
    const size_t stages = head_stages(config);
    Builder builder{stages ? head : tail, config, {}};
    return builder.all(config.latent_channels, "up_blocks", false, stages, tail, head_layers);
}

} // namespace ltx2
