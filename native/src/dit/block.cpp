#include "dit/block.h"

#include "graph/rotary.h"

namespace ltx2 {

static int size_of(const Config & c, const std::string & key, int usual, int least, int most) {
    return c.integer(key.c_str(), usual, least, most);
}

StreamConfig::StreamConfig(const Config & c, const char * prefix, const StreamConfig & usual)
    : StreamConfig(usual) {
    const std::string p = this->prefix = prefix;
    heads = size_of(c, p + "num_attention_heads", usual.heads, 1, 256);
    head_dim = size_of(c, p + "attention_head_dim", usual.head_dim, 2, 1024);
    channels = size_of(c, p + "in_channels", usual.channels, 1, 4096);
    const std::string range = p + "positional_embedding_max_pos", text = p + "cross_attention_dim";
    max_pos = c.numbers(range.c_str(), usual.max_pos);
    if (head_dim % 2)
        c.refuse((p + "attention_head_dim").c_str(), words("%d is odd", head_dim));
    if (size_of(c, p + "out_channels", usual.channels, 1, 4096) != channels)
        c.refuse((p + "out_channels").c_str(), "differs from in_channels");
    if (size_of(c, text, usual.width(), 1, 1 << 16) != width())
        c.refuse(text.c_str(), "differs from the width");
    if (max_pos.size() != usual.max_pos.size() || width() < 2 * static_cast<int>(max_pos.size()))
        c.refuse(range.c_str(), words("wants %zu numbers and a width of %zu or more",
                                      usual.max_pos.size(), 2 * usual.max_pos.size()));
    for (double m : max_pos)
        if (!(m > 0))
            c.refuse(range.c_str(), "is not positive");
    ff_bias = c.flag((p + "ff_bias").c_str(), true);
}

static StreamConfig usual_video() { return {"", 32, 128, {20, 2048, 2048}}; }
static StreamConfig usual_audio() { return {"audio_", 32, 64, {20}}; }

DitConfig::DitConfig(const Part & part, bool with_audio)
    : video(part.group("transformer"), "", usual_video()) {
    const Config c = part.group("transformer");
    // What the reference checks as well: a file that states otherwise is another model.
    c.require_flag("attention_bias", true, true);
    c.require_flag("cross_attention_norm", true, true);
    c.require_flag("use_middle_indices_grid", true, true);
    c.require_flag("norm_elementwise_affine", false, false);
    c.require_flag("share_ff", false, false);
    c.require("activation_fn", "gelu-approximate", "gelu-approximate");
    c.require("qk_norm", "rms_norm", "rms_norm");
    c.require("standardization_norm", "rms_norm", "rms_norm");
    c.require("positional_embedding_type", "rope", "rope");
    const bool projects = part.tensors.count("caption_projection.linear_1.weight");
    c.require_flag("caption_proj_before_connector", !projects, false);
    if (projects)
        caption_channels = c.integer("caption_channels", 3840, 1, 1 << 16);
    // A config may be another file's; a bias that is there is not left out.
    video.ff_bias = std::any_of(part.tensors.begin(), part.tensors.end(), [](const auto & tensor) {
        constexpr std::string_view end = ".ff.net.0.proj.bias";
        const std::string & name = tensor.first;
        return name.size() > end.size() && name.substr(name.size() - end.size()) == end;
    });
    layers = c.integer("num_layers", 48, 1, 512);
    eps = static_cast<float>(c.number("norm_eps", 1e-6, 0, 1));
    theta = c.number("positional_embedding_theta", 10000, 1, 1e12);
    timestep_scale = c.number("timestep_scale_multiplier", 1000, 0, 1e9);
    gated = c.flag("apply_gated_attention", false);
    adaln_text = c.flag("cross_attention_adaln", false);
    float64_grid = has_float64_grid(c);
    if (!with_audio)
        return;
    c.require_flag("use_audio_video_cross_attention", true, true);
    c.require_flag("av_cross_ada_norm", true, true);
    audio.emplace(c, "audio_", usual_audio());
    gate_scale = c.number("av_ca_timestep_scale_multiplier", 1, 0, 1e9);
    if (audio->heads != video.heads)
        c.refuse("audio_num_attention_heads", "differs from num_attention_heads");
}

AdaLayerNormSingle::AdaLayerNormSingle(const Weights & w, int width, int rows)
    : linear_1(w / "emb.timestep_embedder.linear_1", sinusoid_width, width),
      linear_2(w / "emb.timestep_embedder.linear_2", width, width),
      linear(w / "linear", width, int64_t{width} * rows) {}

void AdaLayerNormSingle::operator()(Graph & g, Tensor sinusoids, Tensor & embedded,
                                    Tensor & rows) const {
    embedded = linear_2(g, ggml_silu(g.ctx(), linear_1(g, sinusoids)));
    rows = linear(g, ggml_silu(g.ctx(), embedded));
}

static AttentionConfig attention_config(const DitConfig & c, const StreamConfig & s) {
    return {s.width(), s.width(), s.heads, s.head_dim, c.eps, c.gated};
}

StreamBlock::StreamBlock(const Weights & w, const DitConfig & c, const StreamConfig & s)
    : attn1(w / (s.prefix + std::string("attn1")), attention_config(c, s)),
      attn2(w / (s.prefix + std::string("attn2")), attention_config(c, s)),
      ff(w / (s.prefix + std::string("ff")), s.width(), int64_t{4} * s.width(), s.ff_bias),
      scale_shift_table(
          w(s.prefix + std::string("scale_shift_table"), {s.width(), c.table_rows()}, As::f32)) {
    if (c.adaln_text)
        prompt_scale_shift_table =
            w(s.prefix + std::string("prompt_scale_shift_table"), {s.width(), 2}, As::f32);
}

// Both ways the heads are the sound's.
static AttentionConfig cross_config(const DitConfig & c, const StreamConfig & from,
                                    const StreamConfig & to) {
    return {from.width(), to.width(), c.audio->heads, c.audio->head_dim, c.eps, c.gated};
}

CrossBlock::CrossBlock(const Weights & w, const DitConfig & c)
    : audio_to_video_attn(w / "audio_to_video_attn", cross_config(c, c.video, *c.audio)),
      video_to_audio_attn(w / "video_to_audio_attn", cross_config(c, *c.audio, c.video)),
      video_table(w("scale_shift_table_a2v_ca_video", {c.video.width(), 5}, As::f32)),
      audio_table(w("scale_shift_table_a2v_ca_audio", {c.audio->width(), 5}, As::f32)) {}

Block::Block(const Weights & w, const Weights * sound, const DitConfig & c)
    : video(w, c, c.video), eps(c.eps) {
    if (!sound)
        return;
    audio.emplace(*sound, c, *c.audio);
    cross.emplace(*sound, c);
}

namespace {
// A modality on its way through a block.
struct Way {
    Graph & g;
    const StreamBlock & w;
    const StreamInput & in;
    const float eps;
    const std::string path; // of its taps
    Tensor x = in.x, table = add(g, in.modulation.rows, w.scale_shift_table);

    Tensor modulated(Tensor rows, int64_t scale, int64_t shift) const {
        return modulate(g, Norm::rms, x, eps, {rows, scale, in.modulation.index},
                        {rows, shift, in.modulation.index});
    }
    void add_branch(const char * name, Tensor branch, Tensor rows, int64_t gate) {
        x = add_gated(g, x, g.tap(path + name, branch), {rows, gate, in.modulation.index});
    }
    void attend() {
        const Modulation & m = in.modulation;
        Tensor a = modulated(table, 1, 0);
        add_branch("attn1",
                   in.perturbed ? w.attn1.values_only(g, a) : w.attn1(g, a, m.rotary, m.groups),
                   table, 2);
        if (!w.prompt_scale_shift_table) {
            Tensor text = w.attn2(g, normed(g, Norm::rms, x, eps), in.context);
            x = add_gated(g, x, g.tap(path + "attn2", text));
            return;
        }
        Tensor prompt = add(g, m.prompt, w.prompt_scale_shift_table);
        Tensor text = modulate(g, Norm::none, in.context, eps, {prompt, 1}, {prompt, 0});
        add_branch("attn2", w.attn2(g, modulated(table, 7, 6), text), table, 8);
    }
    void feed() { add_branch("ff", w.ff(g, modulated(table, 4, 3)), table, 5); }
};
} // namespace

// Both read what the other was before.
static void look_at_each_other(Graph & g, const CrossBlock & cross, Way & video, Way & audio,
                               const std::string & path) {
    const Modulation &v = video.in.modulation, &a = audio.in.modulation;
    Tensor video_rows = add(g, v.cross_rows, cross.video_table);
    Tensor audio_rows = add(g, a.cross_rows, cross.audio_table);
    Tensor looking = video.modulated(video_rows, 0, 1), heard = audio.modulated(audio_rows, 0, 1);
    Tensor listening = audio.modulated(audio_rows, 2, 3), seen = video.modulated(video_rows, 2, 3);
    for (Tensor before : {looking, heard, listening, seen})
        g.compute(before); // what it is made of is overwritten next
    Tensor to_video = cross.audio_to_video_attn(g, looking, heard, v.cross_rotary, a.cross_rotary);
    Tensor to_audio = cross.video_to_audio_attn(g, listening, seen, a.cross_rotary, v.cross_rotary);
    video.x = add_gated(g, video.x, g.tap(path + ".audio_to_video_attn", to_video),
                        {video_rows, 4, v.index});
    audio.x = add_gated(g, audio.x, g.tap(path + ".video_to_audio_attn", to_audio),
                        {audio_rows, 4, a.index});
}

std::vector<Tensor> Block::operator()(Graph & g, const std::vector<StreamInput> & in, bool isolated,
                                      const std::string & path) const {
    std::vector<Way> ways = {{g, video, in[0], eps, path + "."}};
    if (in.size() > 1)
        ways.push_back({g, *audio, in[1], eps, path + ".audio_"});
    for (Way & way : ways)
        way.attend();
    if (ways.size() > 1 && !isolated)
        look_at_each_other(g, *cross, ways[0], ways[1], path);
    std::vector<Tensor> out;
    for (Way & way : ways) {
        way.feed();
        out.push_back(way.x);
    }
    g.tap(path, out[0]);
    if (out.size() > 1)
        g.tap(path + ".audio", out[1]);
    return out;
}

} // namespace ltx2
