#include "text/connector.h"

#include "base/round.h"
#include "graph/rotary.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace ltx2 {

// The reference's connector takes neither from the header.
static constexpr float norm_eps = 1e-6f;
static constexpr double theta = 10000;

ConnectorConfig::ConnectorConfig(const Part & part, const std::string & prefix) {
    const Config c = part.group("transformer");
    const std::string head_count = prefix + "connector_num_attention_heads";
    const std::string head_size = prefix + "connector_attention_head_dim";
    layers = c.integer("connector_num_layers", 2, 1, 256);
    // Unless it is stated, the sound's is as the video's.
    heads = c.integer("connector_num_attention_heads", 30, 1, 256);
    heads = c.integer(head_count.c_str(), heads, 1, 256);
    head_dim = c.integer("connector_attention_head_dim", 128, 2, 1024);
    head_dim = c.integer(head_size.c_str(), head_dim, 2, 1024);
    text_length = c.integer("connector_text_length", 1024, 1, 16384);
    const std::vector<double> range = c.numbers("connector_positional_embedding_max_pos", {1});
    if (range.size() != 1 || !(range[0] > 0))
        c.refuse("connector_positional_embedding_max_pos", "is not one positive number");
    if (head_dim % 2)
        c.refuse(head_size.c_str(), words("%d is odd", head_dim));
    max_pos = range[0];
    gated = c.flag("connector_apply_gated_attention", false);
    float64_grid = has_float64_grid(c);
}

ConnectorBlock::ConnectorBlock(const Weights & w, const ConnectorConfig & c)
    : attn1(w / "attn1", {c.width(), c.width(), c.heads, c.head_dim, norm_eps, c.gated}),
      ff(w / "ff", c.width(), int64_t{4} * c.width()) {}

Tensor ConnectorBlock::operator()(Graph & g, Tensor x, const Rotary & rotary) const {
    Tensor a = normed(g, Norm::rms, x, norm_eps);
    x = add_gated(g, x, attn1(g, a, rotary));
    return add_gated(g, x, ff(g, normed(g, Norm::rms, x, norm_eps)));
}

const Connector::Names Connector::video = {part, projection_part, "video_embeddings_connector",
                                           "text_embedding_projection.video_aggregate_embed", ""};

AudioConnector::AudioConnector(const Model & model, Device & device)
    : Connector(model, device,
                {part, projection_part, "audio_embeddings_connector",
                 "text_embedding_projection.audio_aggregate_embed", "audio_"}) {}

static constexpr char shared_projection[] = "text_embedding_projection.aggregate_embed";

static bool is_shared_in(const Part * part) {
    return part && part->tensors.count(shared_projection + std::string(".weight"));
}

bool AudioConnector::has_projection(const Model & model) {
    return model.find(projection_part) || is_shared_in(model.find(Connector::projection_part));
}

Connector::Projection::Projection(const Model & model, const Names & names)
    : part(model.find(Connector::projection_part)), name(shared_projection),
      is_shared(is_shared_in(part)) {
    if (!is_shared) {
        part = &model.need(names.projection_part);
        name = names.projection;
    }
}

Connector::Connector(const Model & model, Device & device, const Names & names)
    : device_(device), config_(model.need(names.part), names.settings), projection_(model, names),
      store_(device), input_(Weights(store_, projection(), projection_.name).shape("weight", 2)[1]),
      aggregate_embed_(Weights(store_, projection(), projection_.name), input_, config_.width(),
                       /*with_bias=*/!projection_.is_shared) {
    const Part & own = model.need(names.part);
    const Weights w(store_, own, names.blocks);
    const int64_t registers = w.shape("learnable_registers", 2)[0];
    learnable_registers_ = w("learnable_registers", {config_.width(), registers}, As::f32);
    blocks_ = all_layers<ConnectorBlock>(w / "transformer_1d_blocks", config_);
    const Config c = own.group("transformer");
    c.require_flag("caption_proj_before_connector", !projection_.is_shared, false);
    const char * key = "connector_num_learnable_registers";
    const int most = 16384;
    if (registers > most)
        c.refuse(key, words("%s has %lld, and at most %d can be", own.file->path.c_str(),
                            static_cast<long long>(registers), most));
    const int stated = c.integer(key, static_cast<int>(registers), 1, most);
    if (stated != registers)
        c.refuse(key, words("is %d, and %s has %lld", stated, own.file->path.c_str(),
                            static_cast<long long>(registers)));
    if (config_.text_length % registers)
        c.refuse("connector_text_length",
                 words("%d is no multiple of the %lld registers", config_.text_length,
                       static_cast<long long>(registers)));
}

void Connector::load(const Progress & progress) { store_.load(progress); }

// Rows `first`.. of x [width, rows].
static Tensor rows_of(Graph & g, Tensor x, int64_t first, int64_t count) {
    return ggml_view_2d(g.ctx(), x, x->ne[0], count, x->nb[1],
                        static_cast<size_t>(first) * x->nb[1]);
}

// Where the projection is shared: each state less its mean, by its range. Here, since no device
// finds the largest of many values; one state at a time, of 1024 tokens 16 MB.
Connector::Norms Connector::norms_of(const HiddenStates & in, const Progress & progress) const {
    Norms norms;
    if (!projection_.is_shared)
        return norms;
    std::vector<float> values(static_cast<size_t>(in.width * in.tokens));
    for (int i = 0; i < in.states; ++i) {
        Graph g(device_, progress);
        g.output(ggml_cont(g.ctx(), in.state(g, i)), values.data());
        g.run();
        const auto [least, most] = std::minmax_element(values.begin(), values.end());
        const double sum = std::accumulate(values.begin(), values.end(), 0.0);
        norms.shift.push_back(static_cast<float>(-sum / static_cast<double>(values.size())));
        norms.scale.push_back(8 / (*most - *least + 1e-6f));
    }
    return norms;
}

// Of some tokens, the states of all layers, normed, side by side: feature d of layer l is column
// d * layers + l of what the projection reads.
Tensor Connector::features(Graph & g, const HiddenStates & in, const Norms & norms, int64_t first,
                           int64_t count) const {
    const Tensor all = in.values.tensor;
    Tensor x = ggml_view_3d(g.ctx(), all, in.width, count, in.states, all->nb[1], all->nb[2],
                            static_cast<size_t>(first) * all->nb[1]);
    if (!projection_.is_shared) {
        const float scale = std::sqrt(static_cast<float>(config_.width()) / float(in.width));
        x = ggml_reshape_2d(g.ctx(), ggml_cont(g.ctx(), x), in.width, count * in.states);
        x = ggml_scale(g.ctx(), normed(g, Norm::rms, x, norm_eps), scale);
        x = ggml_reshape_3d(g.ctx(), x, in.width, count, in.states);
    }
    x = ggml_cont(g.ctx(), ggml_permute(g.ctx(), x, 1, 2, 0, 3)); // [states, width, count]
    if (projection_.is_shared) {
        const auto row = [&](const std::vector<float> & values) {
            return g.input(GGML_TYPE_F32, {in.states, 1, 1, 1}, values.data());
        };
        x = mul(g, add(g, x, row(norms.shift)), row(norms.scale));
    }
    x = ggml_reshape_2d(g.ctx(), x, in.states * in.width, count);
    return g.tap("features", aggregate_embed_(g, x));
}

// How many tokens from `row` on a graph takes: some, so that it holds little. A few are summed in
// another order than many, so the bits of a video depend on where a few are left: at the end of
// each 256.
static int64_t tokens_at_once(int64_t row, int64_t tokens) {
    const int64_t some = 128, few = 8, left = std::min(tokens, round_up(row + 1, 2 * some)) - row;
    return left < some + few ? left : some;
}

// [width, text length]: the text first; a register fills each further row, chosen by the row's
// absolute position.
Kept Connector::filled(const HiddenStates & states, const Progress & progress) const {
    const int64_t length = config_.text_length, registers = learnable_registers_->ne[1];
    const Norms norms = norms_of(states, progress);
    Kept x = device_.keep(GGML_TYPE_F32, {config_.width(), length, 1, 1});
    int64_t row = 0;
    for (int64_t count = 0; row < states.tokens; row += count) {
        count = tokens_at_once(row, states.tokens);
        Graph g(device_, progress);
        g.keep(features(g, states, norms, row, count), rows_of(g, x.tensor, row, count));
        g.run();
    }
    Graph g(device_, progress);
    for (int64_t count = 0; row < length; row += count) {
        const int64_t first = row % registers;
        count = std::min(registers - first, length - row);
        g.keep(rows_of(g, learnable_registers_, first, count), rows_of(g, x.tensor, row, count));
    }
    g.run();
    return x;
}

TextFeatures Connector::project(const HiddenStates & states, const Progress & progress) {
    const int64_t width = config_.width(), length = config_.text_length, tokens = states.tokens;
    if (tokens < 1 || tokens > length || states.states * states.width != input_)
        fail(LTX2_STATUS_INTERNAL, "connector: %lld tokens of %d x %lld for %lld rows",
             static_cast<long long>(tokens), states.states, static_cast<long long>(states.width),
             static_cast<long long>(length));
    progress("text", 0, 1);
    const Kept x = filled(states, progress);
    std::vector<float> positions;
    for (int64_t row = 0; row < length; ++row)
        positions.push_back(static_cast<float>(row));
    const RotaryTable table =
        rotary_table(positions, 1, {config_.max_pos}, theta, static_cast<int>(width), config_.heads,
                     config_.float64_grid);
    TextFeatures out{length, width, std::vector<float>(static_cast<size_t>(length * width))};
    for (size_t i = 0; i < blocks_.size(); ++i) {
        store_.use_layer(i, length);
        Graph g(device_, progress);
        const Shape angles = {config_.head_dim / 2, config_.heads, length, 1};
        const Rotary rotary = {g.input(GGML_TYPE_F32, angles, table.cos.data()),
                               g.input(GGML_TYPE_F32, angles, table.sin.data())};
        Tensor y = g.tap(words("transformer_1d_blocks.%zu", i), blocks_[i](g, x.tensor, rotary));
        if (i + 1 == blocks_.size())
            g.output(normed(g, Norm::rms, y, norm_eps), out.values.data());
        else
            g.keep(y, x.tensor);
        g.run();
    }
    progress("text", 1, 1);
    return out;
}

} // namespace ltx2
