#include "vae/diffusion_decoder.h"

#include "base/finite.h"
#include "base/round.h"
#include "vae/statistics.h"
#include "vae/tiles.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace ltx2 {

static constexpr int64_t sinusoids = 256; // of a timestep

// ---- the weights

static const std::string prefix = "vae.decoder";

bool DiffusionDecoder::is_in(const Model & model) {
    return model.need(part).tensors.count(prefix + ".conv_in_x_t.weight");
}

DiffusionDecoder::Stage DiffusionDecoder::stage_of(const Weights & w, size_t i) const {
    const bool denoises = i + 1 == config_.stages.size();
    const DiffusionStage & stage = config_.stages[i];
    const Weights blocks = denoises ? w / "diff_blocks" : w / "det_stages" / static_cast<int>(i);
    Stage made;
    for (int b = 0; b < stage.depth; ++b)
        made.blocks.emplace_back(blocks / b, stage, config_.head_dim, denoises);
    blocks.end(stage.depth);
    if (!denoises)
        made.upsample.emplace(w / "upsamples" / static_cast<int>(i) / "proj", stage.width,
                              stage.out * stage.time * stage.space * stage.space);
    return made;
}

static Weights at(Store & store, const Part & part, const char * name) {
    return Weights(store, part, prefix) / name;
}

DiffusionDecoder::DiffusionDecoder(const Model & model, Device & device)
    : device_(device), config_(model.need(part).group("vae")), part_(model.need(part)),
      store_(device),
      conv_in_(at(store_, part_, "conv_in"), config_.vae.latent_channels, config_.stages[0].width),
      conv_in_x_t_(at(store_, part_, "conv_in_x_t"), config_.vae.out_channels,
                   config_.last().width),
      time_in_(at(store_, part_, "t_embedder.mlp.0"), sinusoids, config_.time_width),
      time_out_(at(store_, part_, "t_embedder.mlp.2"), config_.time_width, config_.time_width),
      shared_adaln_(at(store_, part_, "shared_adaln.proj"), config_.time_width,
                    7 * config_.last().width),
      norm_out_(at(store_, part_, "norm_out"), config_.last().width, DiffusionLayers::eps),
      conv_out_(at(store_, part_, "conv_out"), config_.last().width, config_.vae.out_channels) {
    for (size_t i = 0; i < config_.stages.size(); ++i)
        stages_.push_back(stage_of(Weights(store_, part_, prefix), i));
}

// ---- tiles

namespace {
// Cells of the last stage but one, at most: 80 frames of 768 x 768, as the official code has them,
// and less where memory is short.
struct TileSize {
    int64_t frames, space;
    int64_t overlap_frames() const { return frames * 3 / 10; }
    int64_t overlap_space() const { return std::min<int64_t>(8, space / 4); }
};

// Cells of the last stage but one of a whole video.
struct Cells {
    int64_t frames, rows, columns;
};
} // namespace

static const DiffusionStage & before_last(const DiffusionConfig & c) {
    return c.stages[c.stages.size() - 2];
}

// Of the last stage but one, what windows of the last two need along an axis.
static int64_t least_cells(const DiffusionConfig & c, int axis) {
    const DiffusionStage & before = before_last(c);
    const int64_t window = c.last().window[axis];
    const int64_t seen = axis == 0 ? 1 + divide_up(window - 1, before.time) // the first is one
                                   : divide_up(window, before.space);
    return std::max<int64_t>(before.window[axis], seen);
}

// What the frames that are not finished take while a tile is computed, in bytes.
static double canvas_bytes(const DiffusionConfig & c, const Cells & all, int64_t frames) {
    const DiffusionStage & before = before_last(c);
    const int64_t patches = all.rows * all.columns * before.space * before.space;
    return static_cast<double>(frames * before.time) * static_cast<double>(patches) *
           static_cast<double>(c.vae.out_channels) * sizeof(float);
}

// About what a tile takes in the last two stages, in bytes, with those frames.
static double tile_bytes(const DiffusionConfig & c, const Cells & all, const TileSize & tile) {
    const DiffusionStage &last = c.last(), &before = before_last(c);
    const int64_t frames = std::min(tile.frames, all.frames);
    const double space =
        static_cast<double>(std::min(tile.space, all.rows) * std::min(tile.space, all.columns));
    const double frame = space * before.space * before.space * static_cast<double>(last.width);
    const double shown = static_cast<double>(frames * before.time);
    // Queries, keys and values in the ring, filled up; the hidden layer of a frame, and its like.
    const double ring = 3.2 * (last.window[0] + 1), rows = 16;
    return sizeof(float) * (frame * (2 * shown + ring + rows) +
                            space * static_cast<double>(before.width * frames)) +
           canvas_bytes(c, all, frames);
}

// The largest that takes at most so many bytes, else the smallest; 0: the largest.
static TileSize tile_size(const DiffusionConfig & c, const Cells & all, double most) {
    TileSize sizes[] = {{40, 96}, {40, 64}, {40, 48}, {30, 32}, {20, 24}, {20, 16}, {10, 8}};
    for (TileSize & size : sizes) {
        size.frames = std::max(size.frames, least_cells(c, 0));
        size.space = std::max({size.space, least_cells(c, 1), least_cells(c, 2)});
        if (most == 0 || tile_bytes(c, all, size) <= most)
            return size;
    }
    return *std::prev(std::end(sizes));
}

// ---- a run

// One video on its way: from latents to frames, which are patches until they are handed on.
class DiffusionDecoder::Run {
public:
    Run(const DiffusionDecoder & decoder, const Grid & grid, const Noise & noise,
        const Progress & progress, const Sink & sink);
    void decode(const Latents & latents);

private:
    struct Tile {
        Span time, rows, columns;
    };
    double room(const Cells & all) const;
    std::vector<Tile> tiles(const Cells & all) const;
    void run_stage(size_t stage, const Volume & x, const DiffusionLayers::Shown * shown = nullptr);
    Volume enlarged(const Latents & latents);
    Volume cut(const Volume & x, const Tile & tile, int64_t frames) const;
    void count_tiles(Volume & whole, const std::vector<Tile> & tiles, Tally & tally);
    void decode_tile(Volume & whole, const Tile & tile, bool single);
    void denoise(const Volume & context, const Tile & tile);
    Kept modulation(float t) const;
    std::vector<float> noise_of(const Tile & tile, const Volume & x, int64_t first,
                                int64_t count) const;
    void blend(const std::vector<float> & values, const Tile & tile, int64_t first, int64_t count);
    void hand_on(int64_t end);
    double work_of(size_t stage, int64_t tokens) const;
    void plan(const std::vector<Tile> & tiles);
    int64_t first_frame(const Tile & tile) const { // of the video
        return tile.time.begin * time_ - (tile.time.begin ? time_ - 1 : 0);
    }

    const DiffusionDecoder & d_;
    const DiffusionConfig & c_;
    const Noise & noise_;
    const Progress & progress_;
    const Sink & sink_;
    DiffusionLayers layers_;
    Grid grid_, full_;               // the latents given, and with those that fill up the windows
    int64_t rows_ = 0, columns_ = 0; // of patches, of the full grid
    int64_t frames_, all_frames_;    // given, and of the full grid
    int64_t time_, space_;           // of the last upsampling
    std::map<int64_t, std::vector<float>> canvas_; // frames that are not finished
    int64_t next_ = 0;                             // the first that was not handed on
    double work_ = 0, done_ = 0;
};

DiffusionDecoder::Run::Run(const DiffusionDecoder & decoder, const Grid & grid, const Noise & noise,
                           const Progress & progress, const Sink & sink)
    : d_(decoder), c_(decoder.config_), noise_(noise), progress_(progress), sink_(sink),
      layers_(decoder.device_, progress, c_.head_dim), grid_(grid), full_(c_.least()) {
    full_ = {std::max(grid.frames, full_.frames), std::max(grid.height, full_.height),
             std::max(grid.width, full_.width)};
    const int64_t cells = c_.vae.scale.space / c_.vae.patch;
    rows_ = full_.height * cells, columns_ = full_.width * cells;
    frames_ = 1 + int64_t{grid.frames - 1} * c_.vae.scale.time;
    all_frames_ = 1 + int64_t{full_.frames - 1} * c_.vae.scale.time;
    time_ = before_last(c_).time, space_ = before_last(c_).space;
}

double DiffusionDecoder::Run::work_of(size_t stage, int64_t tokens) const {
    const DiffusionStage & s = c_.stages[stage];
    const double box = static_cast<double>(s.window[0]) * s.window[1] * s.window[2];
    const double width = static_cast<double>(s.width);
    return static_cast<double>(tokens) * width * (16 * width + 2 * box);
}

void DiffusionDecoder::Run::run_stage(size_t stage, const Volume & x,
                                      const DiffusionLayers::Shown * shown) {
    const std::string name = shown ? ".diff_blocks" : ".det_stages." + std::to_string(stage);
    for (size_t i = 0; i < d_.stages_[stage].blocks.size(); ++i) {
        layers_.pass(d_.stages_[stage].blocks[i], c_.stages[stage].window, x, shown);
        layers_.tap(prefix + name + "." + std::to_string(i), x);
        done_ += work_of(stage, x.cells() * x.frames());
        const int total = static_cast<int>(frames_);
        progress_("decode", static_cast<int>(std::lround(total * std::min(1.0, done_ / work_))),
                  total);
    }
}

// The latents at the edges stand for those that the windows lack, and the last one for the ghosts.
Volume DiffusionDecoder::Run::enlarged(const Latents & latents) {
    const int64_t frames = full_.frames + c_.ghosts(), channels = latents.channels;
    Volume x = layers_.make(c_.stages[0].width, full_.width, full_.height, frames);
    const int up = (full_.height - grid_.height) / 2, left = (full_.width - grid_.width) / 2;
    layers_.fill(x, channels, d_.conv_in_, [&](int64_t first, int64_t count) {
        std::vector<float> values;
        for (int64_t f = first; f < first + count; ++f)
            for (int y = 0; y < full_.height; ++y)
                for (int col = 0; col < full_.width; ++col) {
                    const int64_t frame = std::min<int64_t>(f, grid_.frames - 1);
                    const int64_t row = std::clamp(y - up, 0, grid_.height - 1);
                    const int64_t column = std::clamp(col - left, 0, grid_.width - 1);
                    const auto from =
                        latents.values.begin() +
                        ((frame * grid_.height + row) * grid_.width + column) * channels;
                    values.insert(values.end(), from, from + channels);
                }
        return values;
    });
    for (size_t i = 0; i + 2 < c_.stages.size(); ++i) {
        run_stage(i, x);
        x = layers_.enlarge(*d_.stages_[i].upsample, c_.stages[i], x, x.frames(), true);
    }
    return x;
}

void DiffusionDecoder::Run::plan(const std::vector<Tile> & tiles) {
    int64_t frames = full_.frames + c_.ghosts(), cells = full_.frame_cells();
    for (size_t i = 0; i + 2 < c_.stages.size(); ++i) {
        work_ += c_.stages[i].depth * work_of(i, frames * cells);
        frames = frames * c_.stages[i].time - (c_.stages[i].time - 1);
        cells *= c_.stages[i].space * c_.stages[i].space;
    }
    const size_t last = c_.stages.size() - 1;
    for (const Tile & tile : tiles) {
        const int64_t size = tile.rows.size() * tile.columns.size();
        const int64_t seen = tile.time.after ? tile.time.size() : frames - tile.time.begin;
        const int64_t shown = tile.time.size() * time_ - (tile.time.begin ? 0 : time_ - 1);
        work_ += c_.stages[last - 1].depth * work_of(last - 1, seen * size);
        work_ += c_.steps * c_.last().depth * work_of(last, shown * size * space_ * space_);
    }
}

// Bytes for a tile: what is left beside the weights and the whole video before the last two stages.
// Where nothing sets a limit, half of what there is. 0: unknown. OUT_OF_MEMORY.
double DiffusionDecoder::Run::room(const Cells & all) const {
    const uint64_t limit = d_.device_.residency.limit, have = d_.device_.memory();
    if (limit == no_limit && !have)
        return 0;
    const double cells = static_cast<double>(all.frames * time_ + c_.ghosts() * time_) *
                         static_cast<double>(all.rows * all.columns);
    const double beside = cells * static_cast<double>(before_last(c_).width) * sizeof(float) +
                          static_cast<double>(d_.store_.size() + Residency::reserve);
    const double least = beside + tile_bytes(c_, all, tile_size(c_, all, 1));
    if (have && least > static_cast<double>(have) && !d_.device_.tally())
        fail(LTX2_STATUS_OUT_OF_MEMORY,
             "memory: decoding %lld frames of %d x %d needs %.0f MiB, and there are %.0f MiB",
             static_cast<long long>(frames_), grid_.width * c_.vae.scale.space,
             grid_.height * c_.vae.scale.space, least / (1 << 20),
             static_cast<double>(have) / (1 << 20));
    const double most =
        limit == no_limit ? static_cast<double>(have) / 2 + beside : static_cast<double>(limit);
    return std::max(1.0, most - beside);
}

std::vector<DiffusionDecoder::Run::Tile> DiffusionDecoder::Run::tiles(const Cells & all) const {
    const double most = d_.window ? static_cast<double>(d_.window) : room(all);
    const TileSize size = tile_size(c_, all, most);
    const auto across = [&](int64_t cells, int axis) {
        return spans(cells, size.space, size.overlap_space(), least_cells(c_, axis));
    };
    std::vector<Tile> tiles;
    for (const Span & t : spans(all.frames, size.frames, size.overlap_frames(), least_cells(c_, 0)))
        for (const Span & y : across(all.rows, 1))
            for (const Span & x : across(all.columns, 2))
                tiles.push_back({t, y, x});
    return tiles;
}

void DiffusionDecoder::Run::decode(const Latents & latents) {
    int64_t time = 1, space = 1; // of the last stage but one
    for (size_t i = 0; i + 2 < c_.stages.size(); ++i)
        time *= c_.stages[i].time, space *= c_.stages[i].space;
    const Cells all{1 + (full_.frames - 1) * time, full_.height * space, full_.width * space};
    const std::vector<Tile> tiles = this->tiles(all);
    plan(tiles);
    Volume whole = enlarged(latents);
    int64_t most = 0;
    for (const Tile & tile : tiles)
        most = std::max(most, tile.time.size());
    const Counted canvas = d_.device_.hold(static_cast<size_t>(canvas_bytes(c_, all, most)));
    if (Tally * tally = d_.device_.tally())
        return count_tiles(whole, tiles, *tally);
    for (size_t i = 0; i < tiles.size(); ++i) {
        decode_tile(whole, tiles[i], tiles.size() == 1);
        const bool ends = i + 1 < tiles.size() && tiles[i + 1].time.begin > tiles[i].time.begin;
        if (ends)
            hand_on(first_frame(tiles[i + 1]));
    }
    hand_on(all_frames_);
}

// Tiles that are alike take the same.
void DiffusionDecoder::Run::count_tiles(Volume & whole, const std::vector<Tile> & tiles,
                                        Tally & tally) {
    std::map<std::array<int64_t, 5>, std::pair<Tile, int>> kinds;
    for (const Tile & tile : tiles)
        ++kinds
              .try_emplace({tile.time.size(), tile.rows.size(), tile.columns.size(),
                            tile.time.begin == 0, tile.time.after == 0},
                           tile, 0)
              .first->second.second;
    for (const auto & [shape, kind] : kinds) {
        tally.times = kind.second;
        decode_tile(whole, kind.first, tiles.size() == 1);
    }
    tally.times = 1;
}

Volume DiffusionDecoder::Run::cut(const Volume & x, const Tile & tile, int64_t frames) const {
    const Tensor from = x.values.tensor;
    Volume out = layers_.make(from->ne[0], tile.columns.size(), tile.rows.size(), frames);
    Graph g(d_.device_, progress_);
    const size_t offset = static_cast<size_t>(tile.columns.begin) * from->nb[1] +
                          static_cast<size_t>(tile.rows.begin) * from->nb[2] +
                          static_cast<size_t>(tile.time.begin) * from->nb[3];
    const Tensor to = out.values.tensor;
    g.keep(ggml_view_4d(g.ctx(), from, to->ne[0], to->ne[1], to->ne[2], to->ne[3], from->nb[1],
                        from->nb[2], from->nb[3], offset),
           to);
    g.run();
    return out;
}

// The last tile in time has the ghosts; of the only one, the video itself is used up.
void DiffusionDecoder::Run::decode_tile(Volume & whole, const Tile & tile, bool single) {
    const size_t stage = c_.stages.size() - 2;
    const int64_t frames = tile.time.after ? tile.time.size() : whole.frames() - tile.time.begin;
    Volume x = single ? std::move(whole) : cut(whole, tile, frames);
    run_stage(stage, x);
    const Volume context = layers_.enlarge(*d_.stages_[stage].upsample, c_.stages[stage], x,
                                           tile.time.size(), tile.time.begin == 0);
    x = Volume();
    layers_.tap(prefix + ".context", context);
    denoise(context, tile);
}

// Cosines first; [width, 7].
Kept DiffusionDecoder::Run::modulation(float t) const {
    std::vector<float> wave(sinusoids);
    const int64_t half = sinusoids / 2;
    for (int64_t i = 0; i < half; ++i) {
        const float frequency = static_cast<float>(
            std::exp(-std::log(10000.0) * static_cast<double>(i) / static_cast<double>(half)));
        const float angle = static_cast<float>(c_.timestep_scale) * t * frequency;
        wave[static_cast<size_t>(i)] = std::cos(angle);
        wave[static_cast<size_t>(half + i)] = std::sin(angle);
    }
    Kept kept = d_.device_.keep(GGML_TYPE_F32, {c_.last().width, 7, 1, 1});
    Graph g(d_.device_, progress_);
    Tensor x = g.input(GGML_TYPE_F32, {sinusoids, 1, 1, 1}, wave.data());
    x = d_.time_out_(g, ggml_silu(g.ctx(), d_.time_in_(g, x)));
    x = d_.shared_adaln_(g, ggml_silu(g.ctx(), x));
    g.keep(ggml_reshape_2d(g.ctx(), x, c_.last().width, 7), kept.tensor);
    g.run();
    return kept;
}

// Patches [count][cells][(channel * patch + column) * patch + row].
std::vector<float> DiffusionDecoder::Run::noise_of(const Tile & tile, const Volume & x,
                                                   int64_t first, int64_t count) const {
    const int64_t p = c_.vae.patch, wide = x.values.tensor->ne[1], high = x.values.tensor->ne[2];
    const int64_t channels = c_.vae.out_channels, width = columns_ * p, height = rows_ * p;
    std::vector<float> out(static_cast<size_t>(channels * x.cells() * count));
    if (d_.device_.tally())
        return out;
    const int64_t top = tile.rows.begin * space_ * p, left = tile.columns.begin * space_ * p;
    for (int64_t c = 0; c < 3; ++c)
        for (int64_t f = 0; f < count; ++f)
            for (int64_t y = 0; y < high * p; ++y) {
                const int64_t frame = first_frame(tile) + first + f;
                const std::vector<float> row =
                    noise_(((c * all_frames_ + frame) * height + top + y) * width + left, wide * p);
                float * to = out.data() + (f * high + y / p) * wide * channels + c * p * p + y % p;
                for (int64_t i = 0; i < wide * p; ++i)
                    to[i / p * channels + i % p * p] = row[static_cast<size_t>(i)];
            }
    return out;
}

// From t = 1 to 0 in equal steps.
void DiffusionDecoder::Run::denoise(const Volume & context, const Tile & tile) {
    const Tensor like = context.values.tensor;
    const Volume x = layers_.make(like->ne[0], like->ne[1], like->ne[2], like->ne[3]);
    const int64_t channels = c_.vae.out_channels, frame = channels * x.cells();
    std::vector<float> now(
        c_.steps > 1 || c_.gives_velocity ? static_cast<size_t>(frame * x.frames()) : 0);
    const Counted held = d_.device_.hold(now.size() * sizeof(float));
    for (int step = 0; step < c_.steps; ++step) {
        const float t = 1 - static_cast<float>(step) / static_cast<float>(c_.steps);
        const bool last = step + 1 == c_.steps;
        layers_.fill(x, channels, d_.conv_in_x_t_, [&](int64_t first, int64_t count) {
            const auto at = now.begin() + (now.empty() ? 0 : frame * first);
            if (step > 0)
                return std::vector<float>(at, at + frame * count);
            std::vector<float> noise = noise_of(tile, x, first, count);
            if (!now.empty())
                std::copy(noise.begin(), noise.end(), at);
            return noise;
        });
        const Kept rows = modulation(t);
        const DiffusionLayers::Shown shown{context.values.tensor, rows.tensor, d_.copied};
        run_stage(c_.stages.size() - 1, x, &shown);
        layers_.read(x, d_.norm_out_, d_.conv_out_,
                     [&](const std::vector<float> & values, int64_t first, int64_t count) {
                         if (last && !c_.gives_velocity)
                             return blend(values, tile, first, count);
                         std::vector<float> moved(values.size());
                         float * at = now.data() + frame * first;
                         const float by = 1 / static_cast<float>(c_.steps);
                         for (size_t i = 0; i < values.size(); ++i) {
                             const float v =
                                 c_.gives_velocity ? values[i] : (at[i] - values[i]) / t;
                             at[i] = moved[i] = at[i] - by * v;
                         }
                         if (last)
                             blend(moved, tile, first, count);
                     });
    }
}

// ---- frames

void DiffusionDecoder::Run::blend(const std::vector<float> & values, const Tile & tile,
                                  int64_t first, int64_t count) {
    if (d_.device_.tally())
        return;
    const int64_t p = c_.vae.patch, channels = c_.vae.out_channels;
    const int64_t high = tile.rows.size() * space_, wide = tile.columns.size() * space_;
    const std::vector<float> times = shares(tile.time, time_, tile.time.begin ? 0 : time_ - 1);
    const std::vector<float> rows = shares(tile.rows, space_ * p);
    const std::vector<float> columns = shares(tile.columns, space_ * p);
    const float * from = values.data();
    for (int64_t f = first; f < first + count; ++f) {
        std::vector<float> & to = canvas_[first_frame(tile) + f];
        to.resize(static_cast<size_t>(rows_ * columns_ * channels), 0.0f);
        for (int64_t y = 0; y < high; ++y) {
            float * out = to.data() + ((tile.rows.begin * space_ + y) * columns_ +
                                       tile.columns.begin * space_) *
                                          channels;
            for (int64_t x = 0; x < wide; ++x)
                for (int64_t i = 0; i < channels; ++i, ++from, ++out) {
                    const float row = rows[static_cast<size_t>(y * p + i % p)];
                    const float column = columns[static_cast<size_t>(x * p + i / p % p)];
                    *out += *from * (times[static_cast<size_t>(f)] * (row * column));
                }
        }
    }
}

// Those before frame `end`, without what filled up the windows.
void DiffusionDecoder::Run::hand_on(int64_t end) {
    const int64_t p = c_.vae.patch, cells = c_.vae.scale.space / p;
    const int64_t high = grid_.height * cells, wide = grid_.width * cells;
    const int64_t up = (full_.height - grid_.height) / 2 * cells;
    const int64_t left = (full_.width - grid_.width) / 2 * cells;
    std::vector<uint8_t> pixels(static_cast<size_t>(high * wide * p * p * 3));
    for (; next_ < end; ++next_) {
        const auto frame = canvas_.find(next_);
        if (next_ < frames_ && sink_ && frame != canvas_.end()) {
            bool finite = true;
            for (int64_t y = 0; y < high; ++y) {
                const int64_t count = wide * c_.vae.out_channels;
                const float * row =
                    frame->second.data() + ((up + y) * columns_ + left) * c_.vae.out_channels;
                finite = finite && all_finite(row, static_cast<size_t>(count));
                to_pixels(row, wide, p, pixels.data() + y * wide * p * p * 3);
            }
            sink_(pixels.data(), static_cast<int>(next_), 1, finite);
        }
        canvas_.erase(next_);
    }
}

void DiffusionDecoder::decode(const Latents & latents, const Noise & noise,
                              const Progress & progress, const Sink & sink) {
    config_.vae.check(latents.grid);
    progress("decode", 0, 1 + (latents.grid.frames - 1) * config_.vae.scale.time);
    Latents restored = latents;
    LatentStatistics(part_, config_.vae.latent_channels).restore(restored);
    Run(*this, latents.grid, noise, progress, sink).decode(restored);
}

} // namespace ltx2
