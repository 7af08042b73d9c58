#include "graph/gpu_runner.h"

#include <algorithm>
#include <cstdlib>
#include <vector>

namespace ltx2 {

static ggml_backend_t started(ggml_backend_dev_t device) {
    if (ggml_backend_t backend = ggml_backend_dev_init(device, nullptr))
        return backend;
    fail(LTX2_STATUS_DEVICE, "device: %s does not start", ggml_backend_dev_name(device));
}

GpuRunner::GpuRunner(ggml_backend_dev_t device) : gpu_(started(device)) {}

// ggml_backend_sched_new writes through what malloc gave. Whether the system has so much memory now
// is asked first; another program may still take it in between.
static bool can_have(size_t bytes) {
    void * volatile probe = std::malloc(bytes);
    std::free(probe);
    return probe;
}

// Where memory is short, sched_alloc_graph goes on with a null buffer; sched_reserve reports it.
// But to split the graph among devices, sched_reserve reorders its nodes and lets some read copies:
// their sources are restored, since sched_alloc_graph splits the graph once more.
static bool fits(ggml_backend_sched_t scheduler, ggml_cgraph * graph) {
    ggml_backend_sched_reset(scheduler);
    std::vector<std::pair<ggml_tensor *, ggml_tensor>> before;
    for (int i = 0; i < ggml_graph_n_nodes(graph); ++i)
        before.emplace_back(ggml_graph_node(graph, i), *ggml_graph_node(graph, i));
    const bool fits = ggml_backend_sched_reserve(scheduler, graph);
    for (const auto & [node, was] : before)
        std::copy_n(was.src, GGML_MAX_SRC, node->src);
    return fits && ggml_backend_sched_alloc_graph(scheduler, graph);
}

void GpuRunner::allocate(ggml_cgraph * graph, size_t max_nodes) {
    const size_t reserved = max_nodes * 64 * sizeof(ggml_tensor); // ggml reserves 60 a node
    if (!scheduler_ && !can_have(reserved))
        fail(LTX2_STATUS_OUT_OF_MEMORY, "memory: %zu MiB for a graph do not fit", reserved >> 20);
    if (!cpu_)
        cpu_.reset(started(ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU)));
    ggml_backend_t backends[2] = {gpu_.get(), cpu_.get()};
    if (!scheduler_)
        scheduler_.reset(ggml_backend_sched_new(backends, nullptr, 2, max_nodes, /*parallel=*/false,
                                                /*op_offload=*/false));
    if (!fits(scheduler_.get(), graph))
        fail(LTX2_STATUS_OUT_OF_MEMORY, "memory: the activations of a graph do not fit");
}

static bool stop_wanted(void * progress) {
    return static_cast<const Progress *>(progress)->stop_wanted();
}

ggml_status GpuRunner::compute(ggml_cgraph * graph, CpuRunner & cpu, const Progress & progress) {
    ggml_backend_cpu_set_threadpool(cpu_.get(), cpu.pool());
    ggml_backend_cpu_set_n_threads(cpu_.get(), cpu.threads());
    ggml_backend_cpu_set_abort_callback(cpu_.get(), stop_wanted, const_cast<Progress *>(&progress));
    try {
        const ggml_status status = ggml_backend_sched_graph_compute(scheduler_.get(), graph);
        ggml_backend_cpu_set_abort_callback(cpu_.get(), nullptr, nullptr);
        return status;
    } catch (const std::bad_alloc &) {
        // The CPU backend is left with a pointer to memory it has freed: freeing it would free that
        // twice, so it is given up; the next graph has another.
        scheduler_.reset();
        (void)cpu_.release();
        throw;
    }
}

void GpuRunner::trim() {
    scheduler_.reset();
    if (cpu_)
        ggml_backend_cpu_set_threadpool(cpu_.get(), nullptr);
}

} // namespace ltx2
