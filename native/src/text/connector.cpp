#include "text/connector.h"

#include "graph/rotary.h"

#include <cmath>

namespace ltx2 {

// The reference's connector takes neither from the header.
static constexpr float norm_eps = 1e-6f;
static constexpr double theta = 10000;

ConnectorConfig::ConnectorConfig(const Part & part) {
    const Config c = part.group("transformer");
    layers = c.integer("connector_num_layers", 2, 1, 256);
    heads = c.integer("connector_num_attention_heads", 30, 1, 256);
    head_dim = c.integer("connector_attention_head_dim", 128, 2, 1024);
    text_length = c.integer("connector_text_length", 1024, 1, 16384);
    const std::vector<double> range = c.numbers("connector_positional_embedding_max_pos", {1});
    if (range.size() != 1 || !(range[0] > 0))
        c.refuse("connector_positional_embedding_max_pos", "is not one positive number");
    if (head_dim % 2)
        c.refuse("connector_attention_head_dim", words("%d is odd", head_dim));
    max_pos = range[0];
    gated = c.flag("connector_apply_gated_attention", false);
    float64_grid = has_float64_grid(c);
}

ConnectorBlock::ConnectorBlock(const Weights & w, const ConnectorConfig & c)
    : attn1(w / "attn1", {c.width(), c.width(), c.heads, c.head_dim, norm_eps, c.gated}),
      ff(w / "ff", c.width(), int64_t{4} * c.width()) {}

Tensor ConnectorBlock::operator()(Graph & g, Tensor x, const Rotary & rotary) const {
    Tensor a = normed(g, Norm::rms, x, norm_eps);
    x = add_gated(g, x, attn1(g, a, a, rotary));
    return add_gated(g, x, ff(g, normed(g, Norm::rms, x, norm_eps)));
}

static std::vector<ConnectorBlock> make_blocks(const Weights & w, const ConnectorConfig & c) {
    std::vector<ConnectorBlock> blocks;
    for (int i = 0; i < c.layers; ++i)
        blocks.emplace_back(w / i, c);
    w.end(c.layers);
    return blocks;
}

static const char * const prefix = "video_embeddings_connector";
static const char * const projection = "text_embedding_projection.video_aggregate_embed";

Connector::Connector(const Model & model, Device & device)
    : device_(device), config_(model.need(part)), store_(device),
      input_(Weights(store_, model.need(projection_part), projection).shape("weight", 2)[1]),
      video_aggregate_embed_(Weights(store_, model.need(projection_part), projection), input_,
                             config_.width()) {
    const Part & own = model.need(part);
    const Weights w(store_, own, prefix);
    const int64_t registers = w.shape("learnable_registers", 2)[0];
    learnable_registers_ = w("learnable_registers", {config_.width(), registers}, As::f32);
    blocks_ = make_blocks(w / "transformer_1d_blocks", config_);
    const Config c = own.group("transformer");
    const char * key = "connector_num_learnable_registers";
    const int most = 16384;
    if (registers > most || c.integer(key, static_cast<int>(registers), 1, most) != registers)
        c.refuse(key, words("%s has %lld, and at most %d can be", own.file->path.c_str(),
                            static_cast<long long>(registers), most));
    if (config_.text_length % registers)
        c.refuse("connector_text_length",
                 words("%d is no multiple of the %lld registers", config_.text_length,
                       static_cast<long long>(registers)));
}

void Connector::load(const Progress & progress) { store_.load(progress); }

std::vector<float> Connector::features(const HiddenStates & in, const Progress & progress) {
    // The layer is the fastest index: feature d of layer l is column d * layers + l.
    const int64_t states = in.states, tokens = in.tokens, hidden = in.width;
    std::vector<float> flat(in.values.size());
    const float rescale = static_cast<float>(std::sqrt(double(config_.width()) / double(hidden)));
    std::vector<float> norms(static_cast<size_t>(states));
    float * to = flat.data();
    for (int64_t t = 0; t < tokens; ++t) {
        const float * first = in.values.data() + t * hidden;
        for (int64_t l = 0; l < states; ++l) {
            const float * state = first + l * tokens * hidden;
            double squares = 0;
            for (int64_t d = 0; d < hidden; ++d)
                squares += double(state[d]) * state[d];
            norms[static_cast<size_t>(l)] =
                static_cast<float>(1 / std::sqrt(squares / double(hidden) + norm_eps)) * rescale;
        }
        for (int64_t d = 0; d < hidden; ++d)
            for (int64_t l = 0; l < states; ++l)
                *to++ = first[l * tokens * hidden + d] * norms[static_cast<size_t>(l)];
    }
    std::vector<float> rows(static_cast<size_t>(tokens * config_.width()));
    Graph g(device_, progress, 64);
    Tensor x = g.input(GGML_TYPE_F32, {hidden * states, tokens, 1, 1}, flat.data());
    g.output(g.tap("features", video_aggregate_embed_(g, x)), rows.data());
    g.run();
    return rows;
}

TextFeatures Connector::project(const HiddenStates & states, const Progress & progress) {
    const int64_t width = config_.width(), length = config_.text_length, tokens = states.tokens;
    if (tokens < 1 || tokens > length || states.states * states.width != input_)
        fail(LTX2_STATUS_INTERNAL, "connector: %lld tokens of %d x %lld for %lld rows",
             static_cast<long long>(tokens), states.states, static_cast<long long>(states.width),
             static_cast<long long>(length));
    progress("text", 0, 1);
    // Text first; a register fills each further row, chosen by the row's absolute position.
    std::vector<float> rows = features(states, progress);
    const int64_t registers = learnable_registers_->ne[1];
    std::vector<float> learned(static_cast<size_t>(width * registers));
    ggml_backend_tensor_get(learnable_registers_, learned.data(), 0,
                            ggml_nbytes(learnable_registers_));
    for (int64_t row = tokens; row < length; ++row) {
        const auto first = learned.begin() + row % registers * width;
        rows.insert(rows.end(), first, first + width);
    }

    std::vector<float> positions;
    for (int64_t row = 0; row < length; ++row)
        positions.push_back(static_cast<float>(row));
    const RotaryTable table =
        rotary_table(positions, 1, {config_.max_pos}, theta, static_cast<int>(width), config_.heads,
                     config_.float64_grid);
    Kept x = device_.keep(GGML_TYPE_F32, {width, length, 1, 1});
    ggml_backend_tensor_set(x.tensor, rows.data(), 0, ggml_nbytes(x.tensor));
    for (size_t i = 0; i < blocks_.size(); ++i) {
        Graph g(device_, progress, 256);
        const Shape angles = {config_.head_dim / 2, config_.heads, length, 1};
        const Rotary rotary = {g.input(GGML_TYPE_F32, angles, table.cos.data()),
                               g.input(GGML_TYPE_F32, angles, table.sin.data())};
        Tensor y = g.tap(words("transformer_1d_blocks.%zu", i), blocks_[i](g, x.tensor, rotary));
        if (i + 1 == blocks_.size())
            g.output(normed(g, Norm::rms, y, norm_eps), rows.data());
        else
            g.keep(y, x.tensor);
        g.run();
    }
    progress("text", 1, 1);
    return {length, width, std::move(rows)};
}

} // namespace ltx2
