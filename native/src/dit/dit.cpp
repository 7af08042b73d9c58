#include "dit/dit.h"

#include "graph/rotary.h"

#include <algorithm>
#include <cmath>

namespace ltx2 {

Dit::Dit(const Model & model, Device & device)
    : device_(device), config_(model.need(part)), store_(device),
      patchify_proj_(Weights(store_, model.need(part), "patchify_proj"), config_.in_channels,
                     config_.width()),
      adaln_single_(Weights(store_, model.need(part), "adaln_single"), config_.width(),
                    config_.table_rows()),
      blocks_(all_layers<Block>(Weights(store_, model.need(part), "transformer_blocks"), config_)),
      scale_shift_table_(
          Weights(store_, model.need(part))("scale_shift_table", {config_.width(), 2}, As::f32)),
      proj_out_(Weights(store_, model.need(part), "proj_out"), config_.width(),
                config_.out_channels) {
    if (config_.adaln_text)
        prompt_adaln_single_ = std::make_unique<AdaLayerNormSingle>(
            Weights(store_, model.need(part), "prompt_adaln_single"), config_.width(), 2);
}

void Dit::load(const Progress & progress) { store_.load(progress); }

Kept DitRun::keep(Shape ne, const float * values) const {
    Kept kept = device_.keep(GGML_TYPE_F32, ne);
    if (values)
        device_.write(kept.tensor, values, ggml_nbytes(kept.tensor));
    return kept;
}

DitRun::DitRun(const Dit & dit, const std::vector<Position> & positions, const TextFeatures & text,
               const TextFeatures * negative, std::vector<int> stg_blocks)
    : dit_(dit), device_(dit.device_), config_(dit.config_),
      tokens_(static_cast<int64_t>(positions.size())), stg_blocks_(std::move(stg_blocks)) {
    for (int block : stg_blocks_)
        if (block < 0 || block >= config_.layers)
            fail(LTX2_STATUS_INVALID_ARGUMENT, "stg: block %d is perturbed, and there are %d",
                 block, config_.layers);
    std::vector<float> axes;
    for (const Position & p : positions)
        axes.insert(axes.end(), {p.time, p.row, p.column});
    const int64_t width = config_.width(), half = config_.head_dim / 2;
    const RotaryTable table =
        rotary_table(axes, 3, config_.max_pos, config_.theta, static_cast<int>(width),
                     config_.heads, config_.float64_grid);
    const Counted tables = device_.hold(2 * table.cos.size() * sizeof(float));
    const Shape state = {width, tokens_, 1, 1};
    cos_ = keep({half, config_.heads, tokens_, 1}, table.cos.data());
    sin_ = keep({half, config_.heads, tokens_, 1}, table.sin.data());
    context_ = keep({text.width, text.rows, 1, 1}, text.values.data());
    x_ = keep(state, nullptr);
    if (negative) {
        negative_ = keep({negative->width, negative->rows, 1, 1}, negative->values.data());
        start_ = keep(state, nullptr);
    }
    if (!stg_blocks_.empty())
        shared_ = keep(state, nullptr);
    if (dit_.prompt_adaln_single_)
        prompt_rows_ = keep({width, 2, 1, 1}, nullptr);
}

// Cosines first, exponents divided by the half width itself, in the reference's F32 order.
static void add_sinusoid(std::vector<float> & out, float timestep) {
    const int half = sinusoid_width / 2;
    float angles[half];
    for (int i = 0; i < half; ++i)
        angles[i] = timestep * std::exp(static_cast<float>(-std::log(10000.0)) * i / half);
    for (float a : angles)
        out.push_back(std::cos(a));
    for (float a : angles)
        out.push_back(std::sin(a));
}

void DitRun::begin(const Stream & video, float sigma, const Progress & progress) {
    // Tokens of equal noise share one timestep: text alone has one, a first image makes two.
    std::vector<float> distinct, sinusoids, prompt_sinusoid;
    token_timestep_.resize(static_cast<size_t>(tokens_));
    for (int64_t t = 0; t < tokens_; ++t) {
        const auto it = std::find(distinct.begin(), distinct.end(), video.mask[t]);
        token_timestep_[t] = static_cast<int32_t>(it - distinct.begin());
        if (it == distinct.end())
            distinct.push_back(video.mask[t]);
    }
    const float scale = static_cast<float>(config_.timestep_scale);
    for (float mask : distinct)
        add_sinusoid(sinusoids, mask * sigma * scale);
    add_sinusoid(prompt_sinusoid, sigma * scale);

    const int64_t width = config_.width(), n = static_cast<int64_t>(distinct.size());
    if (n != timesteps_) {
        timesteps_ = n;
        rows_ = device_.keep(GGML_TYPE_F32, {width, config_.table_rows(), n, 1});
        embedded_ = device_.keep(GGML_TYPE_F32, {width, n, 1, 1});
        index_ = n > 1 ? device_.keep(GGML_TYPE_I32, {tokens_, 1, 1, 1}) : Kept();
    }
    if (n > 1)
        device_.write(index_.tensor, token_timestep_.data(), ggml_nbytes(index_.tensor));

    Graph g(device_, progress, 256);
    Tensor z = g.input(GGML_TYPE_F32, {config_.in_channels, tokens_, 1, 1}, video.latents.data());
    Tensor embedded, rows;
    dit_.adaln_single_(g, g.input(GGML_TYPE_F32, {sinusoid_width, n, 1, 1}, sinusoids.data()),
                       embedded, rows);
    g.tap("adaln_single", rows);
    g.keep(ggml_reshape_3d(g.ctx(), rows, width, config_.table_rows(), n), rows_.tensor);
    g.keep(g.tap("adaln_single.emb", embedded), embedded_.tensor);
    if (dit_.prompt_adaln_single_) {
        (*dit_.prompt_adaln_single_)(
            g, g.input(GGML_TYPE_F32, {sinusoid_width, 1, 1, 1}, prompt_sinusoid.data()), embedded,
            rows);
        g.tap("prompt_adaln_single", rows);
        g.keep(ggml_reshape_2d(g.ctx(), rows, width, 2), prompt_rows_.tensor);
    }
    g.keep(g.tap("patchify_proj", dit_.patchify_proj_(g, z)), x_.tensor);
    g.run();
}

void DitRun::run_blocks(Kept & x, const Kept & context, int first, int last, bool perturbed,
                        const Progress & progress) {
    const Modulation modulation = {
        rows_.tensor, prompt_rows_.tensor, index_.tensor, {cos_.tensor, sin_.tensor}};
    for (int i = first; i < last; ++i) {
        const bool here =
            perturbed && std::find(stg_blocks_.begin(), stg_blocks_.end(), i) != stg_blocks_.end();
        dit_.store_.use_layer(static_cast<size_t>(i), tokens_);
        Graph g(device_, progress, 512);
        const std::string path =
            (perturbed ? "perturbed.transformer_blocks." : "transformer_blocks.") +
            std::to_string(i);
        g.keep(dit_.blocks_[i](g, x.tensor, context.tensor, modulation, here, path), x.tensor);
        g.run();
    }
}

std::vector<float> DitRun::finish(const Kept & x, const Progress & progress) {
    Graph g(device_, progress, 256);
    const int64_t width = config_.width();
    Tensor table = ggml_reshape_3d(g.ctx(), embedded_.tensor, width, 1, timesteps_);
    table =
        add(g, ggml_repeat_4d(g.ctx(), table, width, 2, timesteps_, 1), dit_.scale_shift_table_);
    // LayerNorm here, not RMS: the mean of the residual is large.
    g.tap("norm_out", normed(g, Norm::layer, x.tensor, config_.eps));
    Tensor h = modulate(g, Norm::layer, x.tensor, config_.eps, {table, 1, index_.tensor},
                        {table, 0, index_.tensor});
    std::vector<float> velocity(static_cast<size_t>(tokens_ * config_.out_channels));
    g.output(dit_.proj_out_(g, h), velocity.data());
    g.run();
    return velocity;
}

void DitRun::copy(const Kept & from, Kept & to, const Progress & progress) {
    Graph g(device_, progress, 16);
    g.keep(from.tensor, to.tensor);
    g.run();
}

Velocities DitRun::velocity(const State & state, float sigma, const Progress & progress) {
    const bool stg = !stg_blocks_.empty();
    const int layers = config_.layers;
    // Up to the first perturbed block the perturbed pass is the plain one.
    const int split = stg ? *std::min_element(stg_blocks_.begin(), stg_blocks_.end()) : layers;
    Velocities v;
    begin(state.front(), sigma, progress);
    if (negative_.tensor)
        copy(x_, start_, progress);
    run_blocks(x_, context_, 0, split, false, progress);
    if (stg)
        copy(x_, shared_, progress);
    run_blocks(x_, context_, split, layers, false, progress);
    v.plain.push_back(finish(x_, progress));
    if (stg) {
        run_blocks(shared_, context_, split, layers, true, progress);
        v.perturbed.push_back(finish(shared_, progress));
    }
    if (negative_.tensor) {
        run_blocks(start_, negative_, 0, layers, false, progress);
        v.negative.push_back(finish(start_, progress));
    }
    return v;
}

} // namespace ltx2
