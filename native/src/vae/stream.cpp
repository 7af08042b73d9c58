#include "vae/stream.h"

#include <algorithm>
#include <limits>
#include <optional>

namespace ltx2 {

VaeStream::VaeStream(Device & device, const Part & part, const std::string & prefix,
                     const VaeConfig & config)
    : device_(device), config_(config), prefix_(prefix), head_(device), tail_(device) {
    const Weights statistics(head_, part, "vae.per_channel_statistics");
    mean_ = statistics("mean-of-means", {config.latent_channels}, As::f32);
    deviation_ = statistics("std-of-means", {config.latent_channels}, As::f32);
    const Weights head(head_, part, prefix), tail(tail_, part, prefix);
    layers_ = prefix == "vae.encoder" ? encoder_layers(tail, config)
                                      : decoder_layers(head, tail, config, head_layers_);
}

void VaeStream::load(const Progress & progress) {
    head_.load(progress);
    if (head_layers_ == 0 || device_.residency.all)
        tail_.load(progress);
    for (auto [tensor, values] : {std::pair(mean_, &means_), std::pair(deviation_, &deviations_)}) {
        values->resize(static_cast<size_t>(tensor->ne[0]));
        device_.read(tensor, values->data());
    }
}

// Its weights come into memory, and the others' leave it.
void VaeStream::use(Store & store, Store & other, const Progress & progress) const {
    if (device_.residency.all)
        return;
    other.unload();
    if (!store.is_loaded())
        store.load(progress, /*reports=*/false);
}

// One video on its way through the layers.
class VaeStream::Run {
public:
    Run(const VaeStream & stream, const Report & report, const Sink & sink)
        : stream_(stream), report_(report), sink_(sink) {}
    ~Run() { stream_.device_.trim(); }
    void prepare(Shape ne, size_t window);
    // Frames of `from`, the last of it, go through the layers up to the end of the phase.
    void push(size_t index, Kept & from, int64_t count, bool last);
    // The layers up to `end` run on the whole video; what they give.
    Kept collect(size_t end, Kept & input);

private:
    struct Link {
        const VaeLayer & layer;
        std::optional<VaeLayerRun> run; // until the last frames have passed
        int64_t window = 0;             // frames at once
        double work = 0;                // of one frame
        Shape out = {};                 // what all frames give
        Kept given = {};
    };
    int64_t step(Link & link, Tensor frames, int64_t first, int64_t count, bool last);
    void keep(Graph & g, Link & link, Tensor out);

    const VaeStream & stream_;
    const Report & report_;
    const Sink & sink_;
    std::vector<Link> links_;
    size_t end_ = 0;             // of the phase
    Kept all_;                   // what the phase gives, if it is not the last
    int64_t collected_ = 0;      // frames of it so far
    Kept spare_;                 // memory of frames that have gone on
    double work_ = 0, done_ = 0; // all of it, and so far
};

// Sizes of every layer's frames, how many of them it takes at once, and what they cost.
void VaeStream::Run::prepare(Shape ne, size_t window) {
    for (const VaeLayer & layer : stream_.layers_) {
        stream_.config_.check_sides(ne[1], ne[2]);
        Link link{layer, begin(layer, ne, stream_.config_.causal)};
        const int64_t area = ne[1] * ne[2];
        const int64_t spread = layer.up_space * layer.up_space * layer.up_time;
        const int64_t grown = area * spread / (layer.down_space * layer.down_space);
        const int64_t bytes = 4 * std::max(layer.in * area, layer.out * grown);
        link.window = window ? std::max<int64_t>(1, static_cast<int64_t>(window) / bytes)
                             : std::numeric_limits<int64_t>::max();
        const bool res = std::holds_alternative<VaeResBlock>(layer.weights);
        link.work = double(area) * static_cast<double>(layer.in * layer.out * spread) * (res + 1);
        work_ += link.work * static_cast<double>(ne[3]);
        ne = {layer.out, ne[1] * layer.up_space / layer.down_space,
              ne[2] * layer.up_space / layer.down_space,
              (ne[3] * layer.up_time - (layer.up_time - 1) - 1) / layer.down_time + 1};
        link.out = ne;
        links_.push_back(std::move(link));
    }
    end_ = links_.size();
}

// What has been taken goes before what it gave is handed on: few frames are in memory at a time.
void VaeStream::Run::push(size_t index, Kept & from, int64_t count, bool last) {
    Link & link = links_[index];
    for (int64_t first = 0; first < count;) {
        const int64_t take = std::min(link.window, count - first);
        const bool ends = last && first + take == count;
        const int64_t given = step(link, from.tensor, first, take, ends);
        first += take;
        if (first == count)
            spare_ = std::move(from);
        if (given && index + 1 < end_)
            push(index + 1, link.given, given, ends);
    }
}

Kept VaeStream::Run::collect(size_t end, Kept & input) {
    const int64_t frames = input.tensor->ne[3];
    all_ = stream_.device_.keep(GGML_TYPE_F32, links_[end - 1].out);
    end_ = end;
    push(0, input, frames, true);
    end_ = links_.size();
    spare_ = Kept();
    return std::move(all_);
}

// Where the next layer reads it.
void VaeStream::Run::keep(Graph & g, Link & link, Tensor out) {
    if (all_.tensor && &link == &links_[end_ - 1]) {
        g.keep(out, frames_of(g, all_.tensor, collected_, out->ne[3]));
        collected_ += out->ne[3];
        return;
    }
    link.given = stream_.device_.keep(GGML_TYPE_F32, shape_of(out), std::move(spare_));
    g.keep(out, link.given.tensor);
}

// Runs one layer. How many frames came out, into link.given; the last layer's go to the sink.
int64_t VaeStream::Run::step(Link & link, Tensor frames, int64_t first, int64_t count, bool last) {
    Graph g(stream_.device_, report_.progress);
    g.named(link.layer.name);
    const Tensor in = frames_of(g, frames, first, count);
    const Tensor out = std::visit([&](auto & run) { return run(g, in, last); }, *link.run);
    const bool final = &link == &links_.back(), counts = stream_.device_.tally();
    std::vector<float> values;
    Counted host; // of them
    Shape ne{};
    if (out) {
        std::copy_n(out->ne, 4, ne.begin());
        g.tap(stream_.prefix_ + "." + link.layer.name, out);
        if (!link.layer.stage.empty() && link.layer.stage != link.layer.name)
            g.tap(stream_.prefix_ + "." + link.layer.stage, out);
    }
    if (out && final) {
        host = stream_.device_.hold(ggml_nbytes(out));
        if (!counts)
            values.resize(static_cast<size_t>(ggml_nelements(out)));
        g.output(out, values.data());
    } else if (out) {
        keep(g, link, out);
    }
    std::visit([&](auto & run) { run.finish(g); }, *link.run);
    g.run();
    if (last)
        link.run.reset(); // with the frames that it kept
    done_ += link.work * static_cast<double>(count);
    if (report_.stage)
        report_.progress(report_.stage, static_cast<int>(report_.total * (done_ / work_) + 1e-3),
                         report_.total);
    if (out && final && !counts)
        sink_(values, ne);
    return ne[3];
}

void VaeStream::run(const float * values, Shape ne, size_t window, const Report & report,
                    const Sink & sink) {
    Run run(*this, report, sink);
    const bool whole = device_.tap || !config_.streams();
    run.prepare(ne, whole ? 0 : window);
    Kept frames = device_.keep(GGML_TYPE_F32, ne);
    device_.write(frames.tensor, values, ggml_nbytes(frames.tensor));
    if (head_layers_ > 0) {
        use(head_, tail_, report.progress);
        frames = run.collect(head_layers_, frames);
        use(tail_, head_, report.progress);
    }
    run.push(head_layers_, frames, frames.tensor->ne[3], true);
}

} // namespace ltx2
