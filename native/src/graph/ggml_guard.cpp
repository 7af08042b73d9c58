#include "graph/ggml_guard.h"

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <new>
#include <thread>
#include <vector>

namespace ltx2 {

void check_processor() {
#if defined(__x86_64__)
    if ((ggml_cpu_has_avx2() && !__builtin_cpu_supports("avx2")) ||
        (ggml_cpu_has_avx512() && !__builtin_cpu_supports("avx512f")))
        fail(LTX2_STATUS_DEVICE, "device: this build needs a processor with %s",
             ggml_cpu_has_avx512() ? "AVX-512" : "AVX2, FMA and F16C");
#endif
}

ContextPtr make_context(size_t tensors) {
    const size_t size =
        tensors * ggml_tensor_overhead() + ggml_graph_overhead_custom(tensors, false);
    void * memory = ::operator new(size); // where ggml's own allocation would abort
    return ContextPtr(ggml_init({size, memory, /*no_alloc=*/true}));
}

void free_context(ggml_context * context) {
    void * memory = ggml_get_mem_buffer(context);
    ggml_free(context);
    ::operator delete(memory);
}

// Whether the system has so much memory now; another program may still take it in between.
static bool can_have(size_t bytes) {
    void * volatile probe = std::malloc(bytes);
    std::free(probe);
    return probe;
}

// Whether the system gives so many threads now: all of them at once, as the pool will have them.
static bool can_have_threads(int threads) {
    std::mutex gate;
    std::vector<std::thread> probes;
    bool made = true;
    {
        const std::lock_guard<std::mutex> closed(gate);
        try {
            for (int i = 0; i < threads; ++i)
                probes.emplace_back([&gate] { const std::lock_guard<std::mutex> pass(gate); });
        } catch (const std::exception &) { // std::system_error, std::bad_alloc
            made = false;
        }
    }
    for (std::thread & probe : probes)
        probe.join();
    return made;
}

PoolPtr make_pool(int threads) {
    const size_t notes = 1024; // bytes; more than ggml keeps per thread
    // One thread more than needed is tried: another program may take one in between.
    if (!can_have(static_cast<size_t>(threads + 8) * notes) ||
        (threads > 1 && !can_have_threads(threads)))
        fail(LTX2_STATUS_OUT_OF_MEMORY, "memory: the system does not give %d more threads%s",
             threads, threads > 2 ? "; fewer may do" : "");
    ggml_threadpool_params params = ggml_threadpool_params_default(threads);
    params.poll = 0; // between two graphs threads sleep; waking them costs tens of microseconds
    return PoolPtr(ggml_threadpool_new(&params));
}

SchedulerPtr make_scheduler(ggml_backend_t gpu, ggml_backend_t cpu, size_t nodes) {
    const size_t reserved = nodes * 64 * sizeof(ggml_tensor); // ggml reserves 60 a node
    if (!can_have(reserved))
        fail(LTX2_STATUS_OUT_OF_MEMORY, "memory: %zu MiB for a graph do not fit", reserved >> 20);
    ggml_backend_t backends[2] = {gpu, cpu};
    return SchedulerPtr(ggml_backend_sched_new(gpu ? backends : backends + 1, nullptr, gpu ? 2 : 1,
                                               nodes, /*parallel=*/false, /*op_offload=*/false));
}

// Where memory is short, sched_alloc_graph goes on with a null buffer; sched_reserve reports it.
// But to split the graph among devices, sched_reserve reorders its nodes and lets some read copies:
// their sources are restored, since sched_alloc_graph splits the graph once more.
bool allocate(ggml_backend_sched_t scheduler, ggml_cgraph * graph) {
    ggml_backend_sched_reset(scheduler);
    std::vector<std::pair<ggml_tensor *, ggml_tensor>> before;
    for (int i = 0; i < ggml_graph_n_nodes(graph); ++i)
        before.emplace_back(ggml_graph_node(graph, i), *ggml_graph_node(graph, i));
    const bool fits = ggml_backend_sched_reserve(scheduler, graph);
    for (const auto & [node, was] : before)
        std::copy_n(was.src, GGML_MAX_SRC, node->src);
    return fits && ggml_backend_sched_alloc_graph(scheduler, graph);
}

static bool stop_wanted(void * progress) {
    return static_cast<const Progress *>(progress)->stop_wanted();
}

ggml_status compute(ggml_backend_sched_t scheduler, ggml_cgraph * graph, ggml_backend_t cpu,
                    const Progress & progress) {
    // The CPU backend runs on the caller's thread.
    ggml_backend_cpu_set_abort_callback(cpu, stop_wanted, const_cast<Progress *>(&progress));
    const ggml_status status = ggml_backend_sched_graph_compute(scheduler, graph);
    ggml_backend_cpu_set_abort_callback(cpu, nullptr, nullptr);
    return status;
}

} // namespace ltx2
