#include "dit/dit.h"

#include "graph/rotary.h"

#include <algorithm>
#include <cmath>

namespace ltx2 {

// ---- the weights

static std::string cross_name(const StreamConfig & s, bool gate) {
    const bool video = !*s.prefix;
    if (gate) // of what it takes from the other
        return video ? "av_ca_a2v_gate_adaln_single" : "av_ca_v2a_gate_adaln_single";
    return video ? "av_ca_video_scale_shift_adaln_single" : "av_ca_audio_scale_shift_adaln_single";
}

DitStream::DitStream(const Weights & w, const DitConfig & c, const StreamConfig & s)
    : patchify_proj(w / (s.prefix + std::string("patchify_proj")), s.channels, s.width()),
      adaln_single(w / (s.prefix + std::string("adaln_single")), s.width(), c.table_rows()),
      scale_shift_table(w(s.prefix + std::string("scale_shift_table"), {s.width(), 2}, As::f32)),
      proj_out(w / (s.prefix + std::string("proj_out")), s.width(), s.channels) {
    const std::string marker = s.prefix + std::string("keyframes_abs_pos_embedding");
    if (w.find(marker))
        keyframes_abs_pos_embedding = w(marker, {s.width(), 1}, As::f32);
    if (c.caption_channels)
        caption_projection.emplace(w / (s.prefix + std::string("caption_projection")),
                                   c.caption_channels, s.width());
    if (c.adaln_text)
        prompt_adaln_single.emplace(w / (s.prefix + std::string("prompt_adaln_single")), s.width(),
                                    2);
}

Dit::Dit(const Model & model, Device & device, bool with_audio)
    : device_(device), config_(model.need(part), with_audio), store_(device) {
    const Weights own(store_, model.need(part));
    const Weights sound(store_, model.need(with_audio ? audio_part : part));
    streams_.emplace_back(own, config_, config_.video);
    if (with_audio) {
        streams_.emplace_back(sound, config_, *config_.audio);
        for (size_t i = 0; i < 2; ++i) {
            const StreamConfig & s = i ? *config_.audio : config_.video;
            streams_[i].cross_rows.emplace(sound / cross_name(s, false), s.width(), 4);
            streams_[i].cross_gate.emplace(sound / cross_name(s, true), s.width(), 1);
        }
    }
    const Weights blocks = own / "transformer_blocks", sounds = sound / "transformer_blocks";
    for (int i = 0; i < config_.layers; ++i) {
        blocks.begin_layer();
        const Weights of_sound = sounds / i;
        blocks_.emplace_back(blocks / i, with_audio ? &of_sound : nullptr, config_);
    }
    blocks.begin_layer(); // what is no layer
    blocks.end(config_.layers);
    if (with_audio)
        sounds.end(config_.layers);
}

void Dit::load(const Progress & progress) { store_.load(progress); }

// ---- a run

bool DitRun::Way::is_perturbed_in(int block) const {
    return std::find(stg_blocks.begin(), stg_blocks.end(), block) != stg_blocks.end();
}

Kept DitRun::keep(Shape ne, const float * values) const {
    Kept kept = device_.keep(GGML_TYPE_F32, ne);
    if (values)
        device_.write(kept.tensor, values, ggml_nbytes(kept.tensor));
    return kept;
}

// As the blocks read it, which is the same at every step.
Kept DitRun::keep_text(const Way & way, const TextFeatures & text) const {
    const Shape given = {text.width, text.rows, 1, 1};
    if (!way.weights->caption_projection)
        return keep(given, text.values.data());
    Kept kept = keep({way.config->width(), text.rows, 1, 1}, nullptr);
    const Progress progress;
    Graph g(device_, progress);
    Tensor rows = g.input(GGML_TYPE_F32, given, text.values.data());
    g.keep(g.tap(way.config->prefix + std::string("caption_projection"),
                 (*way.weights->caption_projection)(g, rows)),
           kept.tensor);
    g.run();
    return kept;
}

// Its own, over all axes; between modalities time alone counts, in the heads of the sound.
void DitRun::keep_angles(Way & way, const std::vector<Position> & positions, bool cross) const {
    const StreamConfig & s = cross ? *config_.audio : *way.config;
    const std::vector<double> range =
        cross ? std::vector<double>{config_.cross_max_pos()} : way.config->max_pos;
    std::vector<float> axes;
    for (const Position & p : positions) {
        if (device_.tally())
            break; // the tables are checked, and stay empty
        const float all[] = {p.time, p.row, p.column};
        axes.insert(axes.end(), all, all + range.size());
    }
    const RotaryTable table = rotary_table(axes, static_cast<int>(range.size()), range,
                                           config_.theta, s.width(), s.heads, config_.float64_grid);
    const Shape ne = {s.head_dim / 2, s.heads, way.tokens, 1};
    const Counted tables =
        device_.hold(2 * sizeof(float) * static_cast<size_t>(ne[0] * ne[1] * ne[2]));
    (cross ? way.cross_cos : way.cos) = keep(ne, table.cos.data());
    (cross ? way.cross_sin : way.sin) = keep(ne, table.sin.data());
}

DitRun::Way DitRun::way_of(const DitInput & input, size_t which) const {
    Way way;
    way.weights = &dit_.streams_[which];
    way.config = which ? &*config_.audio : &config_.video;
    way.tokens = static_cast<int64_t>(input.positions.size());
    way.stg_blocks = input.stg_blocks;
    way.groups = input.groups;
    for (int block : way.stg_blocks)
        if (block < 0 || block >= config_.layers)
            fail(LTX2_STATUS_INVALID_ARGUMENT, "stg: block %d is perturbed, and there are %d",
                 block, config_.layers);
    keep_angles(way, input.positions, false);
    way.context = keep_text(way, input.text);
    if (input.negative)
        way.negative = keep_text(way, *input.negative);
    return way;
}

DitRun::DitRun(const Dit & dit, const std::vector<DitInput> & inputs, bool isolates)
    : dit_(dit), device_(dit.device_), config_(dit.config_),
      isolates_(isolates && inputs.size() > 1), split_(config_.layers) {
    for (size_t i = 0; i < inputs.size(); ++i)
        ways_.push_back(way_of(inputs[i], i));
    negates_ = std::any_of(ways_.begin(), ways_.end(),
                           [](const Way & way) { return way.negative.tensor != nullptr; });
    for (const Way & way : ways_)
        for (int block : way.stg_blocks)
            split_ = std::min(split_, block);
    for (size_t i = 0; i < inputs.size(); ++i) {
        Way & way = ways_[i];
        const int64_t width = way.config->width();
        if (ways_.size() > 1)
            keep_angles(way, inputs[i].positions, true);
        const Shape state = {width, way.tokens, 1, 1};
        way.x = keep(state, nullptr);
        if (negates_ || isolates_)
            way.start = keep(state, nullptr);
        if (split_ < config_.layers)
            way.shared = keep(state, nullptr);
        if (way.weights->prompt_adaln_single)
            way.prompt_rows = keep({width, 2, 1, 1}, nullptr);
    }
}

DitRun::~DitRun() {
    try {
        device_.settle();
    } catch (const std::exception &) { // whoever computes next is told
    }
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

// [width * rows, n] -> [width, rows, n]
static Tensor as_rows(Graph & g, Tensor rows, int64_t width) {
    return ggml_reshape_3d(g.ctx(), rows, width, rows->ne[0] / width, rows->ne[1]);
}

void DitRun::begin(Way & way, const Stream & stream, float sigma, float other_sigma,
                   const Progress & progress) {
    // Tokens of equal noise share one timestep: text alone has one, a first image makes two.
    std::vector<float> distinct, sinusoids, prompt_sinusoid, gate_sinusoid;
    way.token_timestep.resize(static_cast<size_t>(way.tokens));
    for (int64_t t = 0; t < way.tokens; ++t) {
        const auto it = std::find(distinct.begin(), distinct.end(), stream.mask[t]);
        way.token_timestep[t] = static_cast<int32_t>(it - distinct.begin());
        if (it == distinct.end())
            distinct.push_back(stream.mask[t]);
    }
    const float scale = static_cast<float>(config_.timestep_scale);
    for (float mask : distinct)
        add_sinusoid(sinusoids, mask * sigma * scale);
    add_sinusoid(prompt_sinusoid, sigma * scale);

    const int64_t width = way.config->width(), n = static_cast<int64_t>(distinct.size());
    const bool cross = ways_.size() > 1;
    if (n != way.timesteps) {
        way.timesteps = n;
        way.rows = device_.keep(GGML_TYPE_F32, {width, config_.table_rows(), n, 1});
        way.embedded = device_.keep(GGML_TYPE_F32, {width, n, 1, 1});
        way.index = n > 1 ? device_.keep(GGML_TYPE_I32, {way.tokens, 1, 1, 1}) : Kept();
        way.cross_rows = cross ? device_.keep(GGML_TYPE_F32, {width, 5, n, 1}) : Kept();
    }
    if (n > 1)
        device_.write(way.index.tensor, way.token_timestep.data(), ggml_nbytes(way.index.tensor));

    Graph g(device_, progress);
    const std::string prefix = way.config->prefix;
    const DitStream & w = *way.weights;
    Tensor z =
        g.input(GGML_TYPE_F32, {way.config->channels, way.tokens, 1, 1}, stream.latents.data());
    const auto sinusoid = [&](const std::vector<float> & values, int64_t count) {
        return g.input(GGML_TYPE_F32, {sinusoid_width, count, 1, 1}, values.data());
    };
    Tensor embedded, rows, own = sinusoid(sinusoids, n);
    w.adaln_single(g, own, embedded, rows);
    g.keep(as_rows(g, g.tap(prefix + "adaln_single", rows), width), way.rows.tensor);
    g.keep(g.tap(prefix + "adaln_single.emb", embedded), way.embedded.tensor);
    if (w.prompt_adaln_single) {
        (*w.prompt_adaln_single)(g, sinusoid(prompt_sinusoid, 1), embedded, rows);
        g.keep(as_rows(g, g.tap(prefix + "prompt_adaln_single", rows), width),
               way.prompt_rows.tensor);
    }
    if (cross) {
        const float gate_scale = static_cast<float>(config_.gate_scale / config_.timestep_scale);
        add_sinusoid(gate_sinusoid, other_sigma * scale * gate_scale);
        Tensor gate;
        (*w.cross_rows)(g, own, embedded, rows);
        (*w.cross_gate)(g, sinusoid(gate_sinusoid, 1), embedded, gate);
        gate = as_rows(g, gate, width);
        if (n > 1)
            gate = ggml_repeat_4d(g.ctx(), gate, width, 1, n, 1);
        g.keep(ggml_concat(g.ctx(), as_rows(g, rows, width), gate, 1), way.cross_rows.tensor);
    }
    Tensor x = g.tap(prefix + "patchify_proj", w.patchify_proj(g, z));
    if (w.keyframes_abs_pos_embedding && !stream.single_frames.empty()) {
        Tensor marks = g.input(GGML_TYPE_F32, {1, way.tokens, 1, 1}, stream.single_frames.data());
        Tensor embedding = ggml_repeat(g.ctx(), w.keyframes_abs_pos_embedding, x);
        x = add(g, x, ggml_mul(g.ctx(), embedding, marks));
    }
    g.keep(x, way.x.tensor);
    g.run();
}

StreamInput DitRun::input_of(const Way & way, Kept Way::*x, int block, Pass pass) const {
    StreamInput in;
    in.x = (way.*x).tensor;
    const bool negative = pass == Pass::negative && way.negative.tensor;
    in.context = negative ? way.negative.tensor : way.context.tensor;
    in.modulation = {way.rows.tensor,
                     way.prompt_rows.tensor,
                     way.index.tensor,
                     {way.cos.tensor, way.sin.tensor},
                     way.groups,
                     way.cross_rows.tensor,
                     {way.cross_cos.tensor, way.cross_sin.tensor}};
    in.perturbed = pass == Pass::perturbed && way.is_perturbed_in(block);
    return in;
}

void DitRun::run_blocks(Kept Way::*x, int first, int last, Pass pass, const Progress & progress) {
    const std::string path = pass == Pass::perturbed  ? "perturbed.transformer_blocks."
                             : pass == Pass::isolated ? "isolated.transformer_blocks."
                                                      : "transformer_blocks.";
    for (int i = first; i < last; ++i) {
        dit_.store_.use_layer(static_cast<size_t>(i), ways_[0].tokens);
        Graph g(device_, progress);
        g.named(path + std::to_string(i));
        std::vector<StreamInput> in;
        for (const Way & way : ways_)
            in.push_back(input_of(way, x, i, pass));
        const std::vector<Tensor> out =
            dit_.blocks_[i](g, in, pass == Pass::isolated, path + std::to_string(i));
        for (size_t s = 0; s < out.size(); ++s)
            g.keep(out[s], in[s].x);
        g.start(); // while the next graph is made
    }
}

std::vector<float> DitRun::finish(const Way & way, const Kept & x, const Progress & progress) {
    Graph g(device_, progress);
    const int64_t width = way.config->width();
    Tensor table = ggml_reshape_3d(g.ctx(), way.embedded.tensor, width, 1, way.timesteps);
    table = add(g, ggml_repeat_4d(g.ctx(), table, width, 2, way.timesteps, 1),
                way.weights->scale_shift_table);
    // LayerNorm here, not RMS: the mean of the residual is large.
    g.tap(way.config->prefix + std::string("norm_out"),
          normed(g, Norm::layer, x.tensor, config_.eps));
    Tensor h = modulate(g, Norm::layer, x.tensor, config_.eps, {table, 1, way.index.tensor},
                        {table, 0, way.index.tensor});
    std::vector<float> velocity(static_cast<size_t>(way.tokens * way.config->channels));
    g.output(way.weights->proj_out(g, h), velocity.data());
    g.run();
    return velocity;
}

std::vector<std::vector<float>> DitRun::finish(Kept Way::*x, const Progress & progress) {
    std::vector<std::vector<float>> velocities;
    for (const Way & way : ways_)
        velocities.push_back(finish(way, way.*x, progress));
    return velocities;
}

void DitRun::copy(Kept Way::*from, Kept Way::*to, const Progress & progress) {
    Graph g(device_, progress);
    for (const Way & way : ways_)
        g.keep((way.*from).tensor, (way.*to).tensor);
    g.run();
}

// What is given whole has no noise, whatever the others have.
static float noise_of(const Stream & stream, float sigma) { return stream.is_given() ? 0 : sigma; }

Velocities DitRun::velocity(const State & state, float sigma, const Progress & progress) {
    const int layers = config_.layers;
    const bool perturbs = split_ < layers;
    Velocities v;
    for (size_t s = 0; s < ways_.size(); ++s)
        begin(ways_[s], state[s], noise_of(state[s], sigma),
              noise_of(state[ways_.size() - 1 - s], sigma), progress);
    if (negates_ || isolates_)
        copy(&Way::x, &Way::start, progress);
    run_blocks(&Way::x, 0, split_, Pass::plain, progress);
    if (perturbs)
        copy(&Way::x, &Way::shared, progress);
    run_blocks(&Way::x, split_, layers, Pass::plain, progress);
    v.plain = finish(&Way::x, progress);
    if (perturbs) {
        run_blocks(&Way::shared, split_, layers, Pass::perturbed, progress);
        v.perturbed = finish(&Way::shared, progress);
    }
    if (isolates_) {
        copy(&Way::start, &Way::x, progress);
        run_blocks(&Way::x, 0, layers, Pass::isolated, progress);
        v.isolated = finish(&Way::x, progress);
    }
    if (negates_) {
        run_blocks(&Way::start, 0, layers, Pass::negative, progress);
        v.negative = finish(&Way::start, progress);
    }
    return v;
}

} // namespace ltx2
