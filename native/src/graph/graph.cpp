#include "graph/graph.h"

namespace ltx2 {

Graph::Graph(Device & device, const Progress & progress, size_t nodes)
    : Graph(device, progress, nodes, make_context(2 * nodes)) {}

Graph::Graph(Device & device, const Progress & progress, size_t nodes, ContextPtr context)
    : Nodes(context.get(), device.workers(), device.exact()), device_(device), progress_(progress),
      context_(std::move(context)), graph_(ggml_new_graph_custom(ctx(), nodes, false)) {}

void Graph::output(Tensor value, void * data) {
    ggml_set_output(value);
    ggml_build_forward_expand(graph_, value);
    outputs_.push_back({value, data});
}

void Graph::keep(Tensor value, Tensor kept) {
    const bool there = value->view_src == kept && value->view_offs == 0;
    ggml_build_forward_expand(graph_, there ? value : ggml_cpy(ctx(), value, kept));
}

void Graph::compute(Tensor value) { ggml_build_forward_expand(graph_, value); }

Tensor Graph::tap(const std::string & name, Tensor value) {
    if (device_.tap) {
        Tensor seen = ggml_cont(ctx(), ggml_cast(ctx(), value, GGML_TYPE_F32));
        ggml_set_output(seen);
        ggml_build_forward_expand(graph_, seen);
        taps_.push_back({name, seen});
    }
    return value;
}

void Graph::run(bool waits) {
    if (device_.tally())
        return device_.count(graph_);
    device_.allocate(graph_);
    for (const Input & t : inputs_)
        if (t.tensor->buffer) // an input no node reads has none
            device_.write(t.tensor, t.from, ggml_nbytes(t.tensor));
    Watch * const watch = progress_.watch;
    if (watch)
        watch->graph(name_.c_str(), /*begins=*/true);
    const ggml_status status = device_.compute(graph_, progress_, waits || watch);
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
