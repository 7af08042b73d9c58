#include "vae/diffusion_config.h"

#include "base/round.h"
#include "base/utf8.h"

namespace ltx2 {

static int whole(const Json & value, const std::string & what, int least, int most) {
    const int64_t n = value.integer(what);
    if (n < least || n > most)
        fail(LTX2_STATUS_MODEL, "%s: %lld is not in %d..%d", what.c_str(),
             static_cast<long long>(n), least, most);
    return static_cast<int>(n);
}

static Json::Array list_of(const Json & value, const std::string & what, size_t count) {
    const Json::Array list = value.array(what);
    if (list.size() != count)
        fail(LTX2_STATUS_MODEL, "%s: has %zu entries, not %zu", what.c_str(), list.size(), count);
    return list;
}

static void read_window(const Json & value, const std::string & what, DiffusionStage & stage) {
    const Json::Array sides = list_of(value, what, 3);
    for (size_t i = 0; i < 3; ++i) {
        stage.window[i] = whole(sides[i], what, 1, WindowCall::most);
        if (stage.window[i] % 2 == 0)
            fail(LTX2_STATUS_MODEL, "%s: a window of %d has no middle", what.c_str(),
                 stage.window[i]);
    }
}

// [[time, rows, columns], reduction]
static void read_upsampling(const Json & value, const std::string & what, DiffusionStage & stage) {
    const Json::Array both = list_of(value, what, 2);
    const Json::Array strides = list_of(both[0], what, 3);
    stage.time = whole(strides[0], what, 1, 2);
    stage.space = whole(strides[1], what, 1, 2);
    if (whole(strides[2], what, 1, 2) != stage.space)
        fail(LTX2_STATUS_MODEL, "%s: rows and columns grow differently, which is not supported",
             what.c_str());
    stage.reduction = whole(both[1], what, 1, 64);
    stage.out = stage.width / stage.reduction;
}

DiffusionConfig::DiffusionConfig(const Config & all) {
    const Config c = all.at("decoder");
    vae.latent_channels = c.integer("in_channels", 128, 1, 4096);
    c.integer("out_channels", 3, 3, 3);
    vae.patch = c.integer("patch_size", 4, 1, 16);
    if (vae.patch % 4) // the noise of a row is drawn in fours
        c.refuse("patch_size",
                 words("%lld is no multiple of 4", static_cast<long long>(vae.patch)));
    vae.out_channels = 3 * vae.patch * vae.patch;
    head_dim = c.integer("head_dim", 64, 8, 256);
    if (head_dim % 8)
        c.refuse("head_dim", words("%lld is no multiple of 8", static_cast<long long>(head_dim)));
    time_width = c.integer("t_emb_dim", 384, 1, 16384);
    timestep_scale = c.number("timestep_scale_multiplier", 1000, 1e-3, 1e6);
    steps = c.integer("default_num_inference_steps", 1, 1, 100);
    const std::string output = all.text("model_output_type", "x0");
    if (output != "x0" && output != "v")
        all.refuse("model_output_type", shown(output) + " is not supported");
    gives_velocity = output == "v";

    const Json::Array widths = c.array("stage_channels"), windows = c.array("stage_kernels");
    const size_t count = widths.size();
    if (count < 2 || count > 8)
        c.refuse("stage_channels", words("%zu stages are not in 2..8", count));
    const Json::Array depths = list_of(c.array("stage_depths"), c.what("stage_depths"), count);
    const Json::Array growth = list_of(c.array("upsamples"), c.what("upsamples"), count - 1);
    int time = 1, space = static_cast<int>(vae.patch);
    for (size_t i = 0; i < count; ++i) {
        const auto what = [&](const char * key) { return c.what(key) + "." + std::to_string(i); };
        DiffusionStage stage{};
        stage.width = whole(widths[i], what("stage_channels"), 1, 16384);
        stage.depth = whole(depths[i], what("stage_depths"), 1, 64);
        if (stage.width % head_dim)
            c.refuse("stage_channels",
                     words("%lld is no multiple of heads of %lld",
                           static_cast<long long>(stage.width), static_cast<long long>(head_dim)));
        if (i + 1 < count || windows.size() == count) // the last one may be stated by itself
            read_window(i < windows.size() ? windows[i] : Json(), what("stage_kernels"), stage);
        if (i + 1 == count) {
            if (const auto own = c.find("stage5_kernel"))
                read_window(*own, c.what("stage5_kernel"), stage);
        } else {
            read_upsampling(growth[i], what("upsamples"), stage);
            time *= stage.time, space *= stage.space;
        }
        if (i && stages.back().out != stage.width)
            c.refuse("stage_channels", words("%lld is not what the stage before gives, %lld",
                                             static_cast<long long>(stage.width),
                                             static_cast<long long>(stages.back().out)));
        stages.push_back(stage);
    }
    if (!last().window[0])
        c.refuse("stage5_kernel", "is missing");
    vae.scale = {time, space};
    vae.first_width = stages[0].width, vae.last_width = last().width;
}

Grid DiffusionConfig::least() const {
    Grid least{1, 1, 1};
    int time = 1, space = 1;
    for (const DiffusionStage & stage : stages) {
        // The first latent is one frame.
        least.frames = std::max(least.frames, 1 + divide_up(stage.window[0] - 1, time));
        least.height = std::max(least.height, divide_up(stage.window[1], space));
        least.width = std::max(least.width, divide_up(stage.window[2], space));
        time *= stage.time, space *= stage.space;
    }
    return least;
}

} // namespace ltx2
