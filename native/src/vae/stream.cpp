#include "vae/stream.h"

#include <algorithm>
#include <limits>
#include <optional>

namespace ltx2 {

VaeStream::VaeStream(Device & device, const Part & part, const std::string & prefix,
                     const VaeConfig & config)
    : device_(device), config_(config), prefix_(prefix), store_(device) {
    const Weights w(store_, part, prefix), statistics(store_, part, "vae.per_channel_statistics");
    mean_ = statistics("mean-of-means", {config.latent_channels}, As::f32);
    deviation_ = statistics("std-of-means", {config.latent_channels}, As::f32);
    layers_ = prefix == "vae.encoder" ? encoder_layers(w, config) : decoder_layers(w, config);
}

void VaeStream::load(const Progress & progress) {
    store_.load(progress);
    for (auto [tensor, values] : {std::pair(mean_, &means_), std::pair(deviation_, &deviations_)}) {
        values->resize(static_cast<size_t>(tensor->ne[0]));
        device_.read(tensor, values->data());
    }
}

// One video on its way through the layers.
class VaeStream::Run {
public:
    Run(const VaeStream & stream, const Report & report, const Sink & sink)
        : stream_(stream), report_(report), sink_(sink) {}
    ~Run() { stream_.device_.trim(); }
    void prepare(Shape ne, size_t window);
    void push(size_t index, Tensor frames, int64_t first, int64_t count, bool last);

private:
    struct Link {
        const VaeLayer & layer;
        std::optional<VaeLayerRun> run; // until the last frames have passed
        int64_t window = 0;             // frames at once
        double work = 0;                // of one frame
        Kept out = {};
    };
    int64_t step(Link & link, Tensor frames, int64_t first, int64_t count, bool last);

    const VaeStream & stream_;
    const Report & report_;
    const Sink & sink_;
    std::vector<Link> links_;
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
        links_.push_back(std::move(link));
    }
}

void VaeStream::Run::push(size_t index, Tensor frames, int64_t first, int64_t count, bool last) {
    Link & link = links_[index];
    const int64_t end = first + count;
    while (first < end) {
        const int64_t take = std::min(link.window, end - first);
        const bool ends = last && first + take == end;
        const int64_t given = step(link, frames, first, take, ends);
        if (given && index + 1 < links_.size())
            push(index + 1, link.out.tensor, 0, given, ends);
        if (ends)
            link.out = Kept();
        first += take;
    }
}

// Runs one layer. How many frames came out, into link.out; the last layer's go to the sink.
int64_t VaeStream::Run::step(Link & link, Tensor frames, int64_t first, int64_t count, bool last) {
    Graph g(stream_.device_, report_.progress);
    const Tensor in = frames_of(g, frames, first, count);
    const Tensor out = std::visit([&](auto & run) { return run(g, in, last); }, *link.run);
    const bool final = &link == &links_.back();
    std::vector<float> values;
    Shape ne{};
    if (out) {
        std::copy_n(out->ne, 4, ne.begin());
        g.tap(stream_.prefix_ + "." + link.layer.name, out);
        if (!link.layer.stage.empty() && link.layer.stage != link.layer.name)
            g.tap(stream_.prefix_ + "." + link.layer.stage, out);
    }
    if (out && final) {
        values.resize(static_cast<size_t>(ggml_nelements(out)));
        g.output(out, values.data());
    } else if (out) {
        if (!link.out.tensor || link.out.tensor->ne[3] < ne[3])
            link.out = stream_.device_.keep(GGML_TYPE_F32, ne);
        g.keep(out, frames_of(g, link.out.tensor, 0, ne[3]));
    }
    std::visit([&](auto & run) { run.finish(g); }, *link.run);
    g.run();
    if (last)
        link.run.reset(); // with the frames that it kept
    done_ += link.work * static_cast<double>(count);
    if (report_.stage)
        report_.progress(report_.stage, static_cast<int>(report_.total * (done_ / work_) + 1e-3),
                         report_.total);
    if (out && final)
        sink_(values, ne);
    return ne[3];
}

void VaeStream::run(const float * values, Shape ne, size_t window, const Report & report,
                    const Sink & sink) const {
    Run run(*this, report, sink);
    const bool whole = device_.tap || !config_.streams();
    run.prepare(ne, whole ? 0 : window);
    const Kept input = device_.keep(GGML_TYPE_F32, ne);
    device_.write(input.tensor, values, ggml_nbytes(input.tensor));
    run.push(0, input.tensor, 0, ne[3], true);
}

} // namespace ltx2
