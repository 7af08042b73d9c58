#include "text/duration.h"

#include <algorithm>
#include <cmath>

namespace ltx2 {

static constexpr int64_t heads = 4; // which no file states

// It is small, and the whole video depends on its answer: nothing is rounded.
static Linear exact(const Weights & w, int64_t in, int64_t out) {
    Linear made(w, in, out);
    made.activations = Activations::f32;
    return made;
}

static int64_t inputs(const Weights & w) { return w.shape("weight", 2)[1]; }

// torch's MultiheadAttention has the three in one matrix, diffusers each by itself.
static std::vector<Linear> in_projections(const Weights & w, int64_t width) {
    std::vector<Linear> made;
    if (w.find("to_q.weight")) {
        for (const char * name : {"to_q", "to_k", "to_v"})
            made.push_back(exact(w / name, width, width));
        return made;
    }
    made.emplace_back(w.matrix("cross_attn.in_proj_weight", width, 3 * width));
    made.back().bias = w("cross_attn.in_proj_bias", {3 * width}, As::f32);
    return made;
}

DurationHead::DurationHead(const Model & model, Device & device)
    : device_(device), store_(device), own_(store_, model.need(part), part),
      width_(own_.shape("video_modality_emb", 1)[0]),
      queries_(own_.source("attention_pooler.query_tokens").elements() / width_),
      video_input_proj_(
          exact(own_ / "video_input_proj", inputs(own_ / "video_input_proj"), width_)),
      audio_input_proj_(
          exact(own_ / "audio_input_proj", inputs(own_ / "audio_input_proj"), width_)),
      video_modality_emb_(own_("video_modality_emb", {width_}, As::f32)),
      audio_modality_emb_(own_("audio_modality_emb", {width_}, As::f32)),
      query_tokens_(own_("attention_pooler.query_tokens", {width_, queries_}, As::f32)),
      in_proj_(in_projections(own_ / "attention_pooler", width_)),
      out_proj_(exact(own_ / (in_proj_.size() > 1 ? "attention_pooler.to_out"
                                                  : "attention_pooler.cross_attn.out_proj"),
                      width_, width_)),
      mlp_hidden_(
          exact(own_ / "mlp_hidden", width_ * queries_, own_.shape("mlp_hidden.bias", 1)[0])),
      mlp_out_(exact(own_ / "mlp_out", mlp_hidden_.weight.n(), 1)) {
    if (width_ % heads)
        fail(LTX2_STATUS_MODEL, "%s: a duration head of %lld channels, no multiple of %lld",
             model.need(part).file->path.c_str(), static_cast<long long>(width_),
             static_cast<long long>(heads));
}

float DurationHead::log_seconds(const TextFeatures & text, const Progress & progress) const {
    Graph g(device_, progress);
    const auto tokens = [&](const TextFeatures & rows, const Linear & project, Tensor modality) {
        const Tensor x = g.input(GGML_TYPE_F32, {rows.width, rows.rows, 1, 1}, rows.values.data());
        return add(g, project(g, x), modality);
    };
    // Which of the three, of x [width, rows].
    const auto projected = [&](Tensor x, size_t which) {
        if (in_proj_.size() > 1)
            return in_proj_[which](g, x);
        const Tensor all = in_proj_.front()(g, x);
        return ggml_cont(g.ctx(),
                         ggml_view_2d(g.ctx(), all, width_, all->ne[1], all->nb[1],
                                      which * static_cast<size_t>(width_) * sizeof(float)));
    };
    const TextFeatures video = text.columns(0, video_width());
    const TextFeatures audio = text.columns(video_width(), text.width - video_width());
    Tensor x = tokens(video, video_input_proj_, video_modality_emb_);
    if (audio.width)
        x = ggml_concat(g.ctx(), x, tokens(audio, audio_input_proj_, audio_modality_emb_), 1);
    AttentionCall call;
    call.q = projected(query_tokens_, 0), call.k = projected(x, 1), call.v = projected(x, 2);
    call.head_dim = width_ / heads;
    call.scale = 1 / std::sqrt(static_cast<float>(call.head_dim));
    const Tensor seen = out_proj_(g, g.ops().attention(g, call));
    const Tensor pooled = ggml_reshape_2d(g.ctx(), seen, width_ * queries_, 1);
    float out = 0;
    g.output(mlp_out_(g, mlp_hidden_(g, pooled, /*with_gelu=*/true)), &out);
    g.run();
    return out;
}

int frames_lasting(double seconds, double fps, int step) {
    const auto rounded = [&](double s) { return static_cast<int>(std::nearbyint(s * fps)); };
    const double least = DurationHead::least_seconds, most = DurationHead::most_seconds;
    const int whole = (rounded(std::clamp(seconds, least, most)) - 1) / step * step + 1;
    return whole < rounded(least) ? whole + step : whole;
}

} // namespace ltx2
