#include "graph/graph.h"

#include "ggml-cpu.h"

#include <algorithm>

namespace ltx2 {

Graph::Graph(Device & device, const Progress & progress, size_t nodes)
    : device_(device), progress_(progress), context_(make_context(2 * nodes)),
      graph_(ggml_new_graph_custom(context_.get(), nodes, false)) {}

Tensor Graph::input(ggml_type type, Shape ne, const void * data) {
    Tensor tensor = ggml_new_tensor(ctx(), type, 4, ne.data());
    ggml_set_input(tensor);
    inputs_.push_back({tensor, data, nullptr});
    return tensor;
}

void Graph::output(Tensor value, void * data) {
    ggml_set_output(value);
    ggml_build_forward_expand(graph_, value);
    outputs_.push_back({value, nullptr, data});
}

void Graph::keep(Tensor value, Tensor kept) {
    const bool there = value->view_src == kept && value->view_offs == 0;
    ggml_build_forward_expand(graph_, there ? value : ggml_cpy(ctx(), value, kept));
}

Tensor Graph::product(kernels::GemmCall call, Tensor x) const {
    Tensor & prepared = prepared_[{x, call.arithmetic}];
    if (!prepared) {
        prepared = kernels::prepare_rows(ctx(), call.arithmetic, x);
        if (prepared != x)
            ggml_set_name(prepared, "prepared rows");
    }
    call.rows = prepared;
    call.count = x->ne[1];
    std::shared_ptr<kernels::GemmPlan> plan =
        kernels::gemm(ctx(), call, device_.threads(), device_.scratch());
    hold(plan);
    ggml_format_name(plan->out, "%s product from %lld", ggml_type_name(call.weight->type),
                     static_cast<long long>(call.weight->ne[0]));
    return plan->out;
}

Tensor Graph::tap(const std::string & name, Tensor value) const {
    if (device_.tap) {
        Tensor seen = ggml_cont(ctx(), ggml_cast(ctx(), value, GGML_TYPE_F32));
        ggml_set_output(seen);
        ggml_build_forward_expand(graph_, seen);
        taps_.push_back({name, seen});
    }
    return value;
}

static bool stop_wanted(void * progress) {
    return static_cast<const Progress *>(progress)->stop_wanted();
}

// Asks the caller between nodes; the CPU backend runs on the caller's thread.
static void set_abort(ggml_backend_t cpu, ggml_abort_callback callback, const Progress * progress) {
    ggml_backend_reg_t reg = ggml_backend_dev_backend_reg(ggml_backend_get_device(cpu));
    auto set = reinterpret_cast<ggml_backend_set_abort_callback_t>(
        ggml_backend_reg_get_proc_address(reg, "ggml_backend_set_abort_callback"));
    if (set)
        set(cpu, callback, const_cast<Progress *>(progress));
}

// sched_alloc_graph goes on with a null buffer where memory is short; sched_reserve says so. It
// lets nodes read copies where devices meet, for the graph it splits: ours is split once more.
bool Graph::reserve(ggml_backend_sched_t scheduler) {
    std::vector<std::array<Tensor, GGML_MAX_SRC>> sources(
        static_cast<size_t>(ggml_graph_n_nodes(graph_)));
    for (size_t i = 0; i < sources.size(); ++i)
        std::copy_n(ggml_graph_node(graph_, static_cast<int>(i))->src, GGML_MAX_SRC,
                    sources[i].begin());
    const bool fits = ggml_backend_sched_reserve(scheduler, graph_);
    for (size_t i = 0; i < sources.size(); ++i)
        std::copy(sources[i].begin(), sources[i].end(),
                  ggml_graph_node(graph_, static_cast<int>(i))->src);
    return fits;
}

ggml_status Graph::compute() {
    set_abort(device_.cpu(), stop_wanted, &progress_);
    try {
        const ggml_status status = ggml_backend_sched_graph_compute(device_.scheduler(), graph_);
        set_abort(device_.cpu(), nullptr, nullptr);
        return status;
    } catch (const std::bad_alloc &) {
        device_.replace_cpu();
        throw;
    }
}

void Graph::run() {
    ggml_backend_sched_t scheduler = device_.scheduler();
    ggml_backend_sched_reset(scheduler);
    if (!reserve(scheduler) || !ggml_backend_sched_alloc_graph(scheduler, graph_)) {
        device_.trim();
        fail(LTX2_STATUS_OUT_OF_MEMORY, "memory: the activations of a graph do not fit");
    }
    for (const Transfer & t : inputs_)
        if (t.tensor->buffer) // an input no node reads has none
            ggml_backend_tensor_set(t.tensor, t.from, 0, ggml_nbytes(t.tensor));
    const ggml_status status = compute();
    if (status == GGML_STATUS_ABORTED)
        progress_.fail_stopped();
    if (status != GGML_STATUS_SUCCESS)
        fail(status == GGML_STATUS_ALLOC_FAILED ? LTX2_STATUS_OUT_OF_MEMORY : LTX2_STATUS_DEVICE,
             "device: a graph failed: %s", ggml_status_to_string(status));
    for (const Transfer & t : outputs_)
        ggml_backend_tensor_get(t.tensor, t.to, 0, ggml_nbytes(t.tensor));
    for (const Tapped & t : taps_) {
        std::vector<float> values(static_cast<size_t>(ggml_nelements(t.tensor)));
        ggml_backend_tensor_get(t.tensor, values.data(), 0, ggml_nbytes(t.tensor));
        device_.tap(t.name, {t.tensor->ne[0], t.tensor->ne[1], t.tensor->ne[2], t.tensor->ne[3]},
                    values.data());
    }
}

} // namespace ltx2
