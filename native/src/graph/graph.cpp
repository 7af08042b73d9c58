#include "graph/graph.h"

#include <unordered_set>

namespace ltx2 {

Graph::Graph(Device & device, const Progress & progress)
    : Nodes(device.workers(), device.exact()), device_(device), progress_(progress) {}

// Adapters and configs make layers of any number of nodes, and ggml aborts where a context or a
// graph is full.
ggml_context * Graph::ctx() {
    const size_t tensors = 512, most_of_one = 32; // tensors that an operation makes
    const auto room = [&] {
        ggml_context * last = contexts_.back().get();
        return ggml_get_mem_size(last) - ggml_used_mem(last);
    };
    if (contexts_.empty() || room() < most_of_one * ggml_tensor_overhead())
        contexts_.push_back(make_context(tensors));
    return contexts_.back().get();
}

// How many tensors these read, themselves included.
static size_t count_tensors(std::vector<Tensor> left) {
    std::unordered_set<const ggml_tensor *> seen;
    while (!left.empty()) {
        const Tensor tensor = left.back();
        left.pop_back();
        if (!seen.insert(tensor).second)
            continue;
        for (ggml_tensor * source : tensor->src)
            if (source)
                left.push_back(source);
    }
    return seen.size();
}

ggml_cgraph * Graph::ordered() {
    const size_t tensors = count_tensors(wanted_);
    contexts_.push_back(make_context(tensors));
    ggml_cgraph * graph = ggml_new_graph_custom(contexts_.back().get(), tensors, false);
    for (Tensor value : wanted_)
        ggml_build_forward_expand(graph, value);
    return graph;
}

void Graph::output(Tensor value, void * data) {
    ggml_set_output(value);
    wanted_.push_back(value);
    outputs_.push_back({value, data});
}

void Graph::keep(Tensor value, Tensor kept) {
    const bool there = value->view_src == kept && value->view_offs == 0;
    wanted_.push_back(there ? value : ggml_cpy(ctx(), value, kept));
}

void Graph::compute(Tensor value) { wanted_.push_back(value); }

Tensor Graph::tap(const std::string & name, Tensor value) {
    if (device_.tap) {
        Tensor seen = ggml_cont(ctx(), ggml_cast(ctx(), value, GGML_TYPE_F32));
        ggml_set_output(seen);
        wanted_.push_back(seen);
        taps_.push_back({name, seen});
    }
    return value;
}

void Graph::run(bool waits) {
    ggml_cgraph * const graph = ordered();
    if (device_.tally()) {
        if (progress_.stop_wanted())
            progress_.fail_stopped();
        return device_.count(graph);
    }
    device_.allocate(graph);
    for (const Input & t : inputs_)
        if (t.tensor->buffer) // an input no node reads has none
            device_.write(t.tensor, t.from, ggml_nbytes(t.tensor));
    Watch * const watch = progress_.watch;
    if (watch)
        watch->graph(name_.c_str(), /*begins=*/true);
    const ggml_status status = device_.compute(graph, progress_, waits || watch);
    if (watch)
        watch->graph(name_.c_str(), /*begins=*/false);
    if (status == GGML_STATUS_ABORTED)
        progress_.fail_stopped();
    if (status != GGML_STATUS_SUCCESS)
        fail(status == GGML_STATUS_ALLOC_FAILED ? LTX2_STATUS_OUT_OF_MEMORY : LTX2_STATUS_DEVICE,
             "device: a graph failed: %s", ggml_status_to_string(status));
    for (const Output & t : outputs_)
        device_.fetch(t.tensor, t.to);
    for (const Tapped & t : taps_) {
        std::vector<float> values(static_cast<size_t>(ggml_nelements(t.tensor)));
        device_.fetch(t.tensor, values.data());
        device_.tap(t.name, shape_of(t.tensor), values.data());
    }
}

} // namespace ltx2
