#include "graph/cpu_runner.h"

#include "graph/memory_plan.h"

#include <algorithm>

namespace ltx2 {

static void lie_in(ggml_backend_buffer_t buffer, const MemoryPlan & plan, ggml_cgraph * graph) {
    uint8_t * begin = static_cast<uint8_t *>(ggml_backend_buffer_get_base(buffer));
    for (const MemoryPlan::Place & p : plan.places)
        ggml_backend_tensor_alloc(buffer, p.tensor, begin + p.offset);
    for (int i = 0; i < ggml_graph_n_nodes(graph); ++i) {
        const Tensor node = ggml_graph_node(graph, i);
        for (Tensor source : node->src)
            if (source && source->view_src && !source->data)
                ggml_backend_view_init(source);
        if (node->view_src && !node->data)
            ggml_backend_view_init(node);
    }
}

void CpuRunner::allocate(ggml_cgraph * graph) {
    const MemoryPlan plan(graph, Buffer::alignment);
    if (!values_ || values_.size() < plan.size) {
        values_ = Buffer(); // first, so that both never exist together
        values_ = Buffer(ggml_backend_cpu_buffer_type(), std::max<size_t>(plan.size, 1),
                         "a graph's activations");
    }
    lie_in(values_.get(), plan, graph);
}

ggml_threadpool * CpuRunner::pool() {
    if (!pool_)
        pool_ = make_pool(threads_);
    return pool_.get();
}

static bool stop_wanted(void * progress) {
    return static_cast<const Progress *>(progress)->stop_wanted();
}

ggml_status CpuRunner::compute_part(ggml_cgraph * graph, const Progress & progress) {
    ggml_cplan plan = ggml_graph_plan(graph, threads_, pool());
    work_.reserve(divide_up(plan.work_size, sizeof(float)));
    plan.work_data = reinterpret_cast<uint8_t *>(work_.data());
    plan.abort_callback = stop_wanted;
    plan.abort_callback_data = const_cast<Progress *>(&progress);
    return ggml_graph_compute(graph, &plan);
}

ggml_status CpuRunner::compute(ggml_cgraph * graph, const Progress & progress) {
    Watch * const watch = progress.watch;
    if (!watch)
        return compute_part(graph, progress);
    // Nodes are graphs of their own.
    const ContextPtr context = make_context(1);
    ggml_cgraph * one = ggml_new_graph_custom(context.get(), 1, false);
    ggml_status status = GGML_STATUS_SUCCESS;
    for (int i = 0; i < ggml_graph_n_nodes(graph) && status == GGML_STATUS_SUCCESS; ++i) {
        ggml_graph_clear(one);
        ggml_graph_add_node(one, ggml_graph_node(graph, i));
        watch->node(ggml_graph_node(graph, i), true);
        status = compute_part(one, progress);
        watch->node(ggml_graph_node(graph, i), false);
    }
    return status;
}

void CpuRunner::trim() {
    values_ = Buffer();
    work_.release();
    pool_.reset();
}

} // namespace ltx2
