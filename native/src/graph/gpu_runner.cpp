#include "graph/gpu_runner.h"

#include "base/log.h"
#include "kernels/calls.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <unordered_map>
#include <utility>
#include <vector>

namespace ltx2 {

static ggml_backend_t started(ggml_backend_dev_t device) {
    if (ggml_backend_t backend = ggml_backend_dev_init(device, nullptr))
        return backend;
    fail(LTX2_STATUS_DEVICE, "device: %s does not start", ggml_backend_dev_name(device));
}

// Vulkan's backend takes a tensor of a graph for one of the graph before, if it lies at the same
// address, until it is waited for.
static bool takes_graphs_in_a_row(ggml_backend_dev_t device) {
    return std::string(ggml_backend_reg_name(ggml_backend_dev_backend_reg(device))) == "CUDA";
}

GpuRunner::GpuRunner(ggml_backend_dev_t device) : device_(device) {
    call([&] { gpu_.reset(started(device)); });
}

void GpuRunner::check_alive() const {
    if (!lost_.empty())
        fail(LTX2_STATUS_DEVICE, "device: %s failed before (%s); start the program anew",
             ggml_backend_dev_name(device_), lost_.c_str());
}

// Vulkan's, CUDA's, and cuBLAS's words for it.
static bool tells_of_memory(const char * words) {
    for (const char * some :
         {"OutOfDeviceMemory", "OutOfHostMemory", "out of memory", "resource allocation failed"})
        if (std::strstr(words, some))
            return true;
    return false;
}

// A backend in which something failed half way is not used again: the next call starts another.
void GpuRunner::failed() {
    try {
        throw;
    } catch (const Error &) {
        throw;
    } catch (const std::bad_alloc &) {
        throw;
    } catch (const std::exception & e) {
        computes_ = false;
        scheduler_.reset();
        gpu_.reset();
        const char * name = ggml_backend_dev_name(device_);
        if (tells_of_memory(e.what()))
            fail(LTX2_STATUS_OUT_OF_MEMORY, "memory: %s has no more (%s)", name, e.what());
        lost_ = e.what();
        fail(LTX2_STATUS_DEVICE, "device: %s failed: %s", name, e.what());
    }
}

// An operation as messages name it: flash attention is there for some sizes of heads only.
static std::string described(const ggml_tensor * node) {
    const ggml_tensor * from = node->src[0] ? node->src[0] : node;
    std::string text = std::string(ggml_op_desc(node)) + " of " + ggml_type_name(from->type);
    if (node->op == GGML_OP_FLASH_ATTN_EXT)
        text += " in heads of " + std::to_string(from->ne[0]);
    return text;
}

// What falls to the CPU costs copies there and back: it is said, once.
void GpuRunner::report(const ggml_cgraph * graph) {
    ggml_cgraph * nodes = const_cast<ggml_cgraph *>(graph); // ggml asks for it, and reads
    for (int i = 0; i < ggml_graph_n_nodes(nodes); ++i) {
        const ggml_tensor * node = ggml_graph_node(nodes, i);
        if (is_view(node) || ggml_backend_supports_op(gpu_.get(), node))
            continue;
        const std::string what = described(node);
        if (lacks_.insert(what).second)
            log(Level::warning, "device: %s has no %s: the CPU computes it",
                ggml_backend_dev_name(device_), what.c_str());
    }
}

// ggml_backend_sched_new writes through what malloc gave. Whether the system has so much memory now
// is asked first; another program may still take it in between.
static bool can_have(size_t bytes) {
    void * volatile probe = std::malloc(bytes);
    std::free(probe);
    return probe;
}

// What decides where a graph's values may lie: equal for all blocks of a model.
static std::vector<int64_t> outline_of(const ggml_cgraph * graph) {
    ggml_cgraph * nodes = const_cast<ggml_cgraph *>(graph); // ggml asks for it, and reads
    std::unordered_map<const ggml_tensor *, int64_t> places;
    std::vector<int64_t> outline;
    const auto add_place = [&](const ggml_tensor * source) {
        const auto at = places.find(source);
        outline.push_back(at == places.end() ? source ? -1 : -2 : at->second);
    };
    for (int i = 0; i < ggml_graph_n_nodes(nodes); ++i) {
        const ggml_tensor * node = ggml_graph_node(nodes, i);
        outline.insert(outline.end(), {node->op, node->type, node->flags, node->op_params[0]});
        outline.insert(outline.end(), node->ne, node->ne + GGML_MAX_DIMS);
        for (const ggml_tensor * source : node->src)
            add_place(source);
        add_place(node->view_src);
        places[node] = i;
    }
    return outline;
}

// Where memory is short, sched_alloc_graph goes on with a null buffer; sched_reserve reports it.
// But to split the graph among devices, sched_reserve reorders its nodes and lets some read copies:
// their sources are restored, since sched_alloc_graph splits the graph once more.
static bool reserved(ggml_backend_sched_t scheduler, ggml_cgraph * graph) {
    std::vector<std::pair<ggml_tensor *, ggml_tensor>> before;
    for (int i = 0; i < ggml_graph_n_nodes(graph); ++i)
        before.emplace_back(ggml_graph_node(graph, i), *ggml_graph_node(graph, i));
    const bool reserved = ggml_backend_sched_reserve(scheduler, graph);
    for (const auto & [node, was] : before)
        std::copy_n(was.src, GGML_MAX_SRC, node->src);
    return reserved;
}

void GpuRunner::allocate(ggml_cgraph * graph) {
    // A larger graph than there are tables for, which a layer with many adapters has.
    if (const auto nodes = static_cast<size_t>(ggml_graph_size(graph)); nodes > most_nodes_) {
        trim();
        most_nodes_ = nodes;
    }
    call([&] { allocate_now(graph); });
}

void GpuRunner::allocate_now(ggml_cgraph * graph) {
    if (!gpu_)
        gpu_.reset(started(device_));
    const size_t tables = most_nodes_ * 64 * sizeof(ggml_tensor); // ggml reserves 60 a node
    if (!scheduler_ && !can_have(tables))
        fail(LTX2_STATUS_OUT_OF_MEMORY, "memory: %zu MiB for a graph do not fit", tables >> 20);
    if (!cpu_)
        cpu_.reset(started(ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU)));
    ggml_backend_t backends[2] = {gpu_.get(), cpu_.get()};
    if (!scheduler_) {
        scheduler_.reset(ggml_backend_sched_new(backends, nullptr, 2, most_nodes_,
                                                /*parallel=*/false,
                                                /*op_offload=*/false));
        outline_.clear();
    }
    ggml_backend_sched_reset(scheduler_.get());
    std::vector<int64_t> outline = outline_of(graph);
    const bool known = outline == outline_;
    if (!known) {
        report(graph);
        outline_.clear(); // until there is memory for this one
    }
    if ((!known && !reserved(scheduler_.get(), graph)) ||
        !ggml_backend_sched_alloc_graph(scheduler_.get(), graph))
        fail(LTX2_STATUS_OUT_OF_MEMORY, "memory: the activations of a graph do not fit");
    log(Level::debug, "graph: %d nodes in %d parts, %zu KiB", ggml_graph_n_nodes(graph),
        ggml_backend_sched_get_n_splits(scheduler_.get()),
        ggml_backend_sched_get_buffer_size(scheduler_.get(), gpu_.get()) >> 10);
    outline_ = std::move(outline);
}

static bool stop_wanted(void * progress) {
    return static_cast<const Progress *>(progress)->stop_wanted();
}

ggml_status GpuRunner::compute(ggml_cgraph * graph, CpuRunner & cpu, const Progress & progress,
                               bool waits) {
    ggml_backend_cpu_set_threadpool(cpu_.get(), cpu.pool());
    ggml_backend_cpu_set_n_threads(cpu_.get(), cpu.threads());
    ggml_backend_cpu_set_abort_callback(cpu_.get(), stop_wanted, const_cast<Progress *>(&progress));
    try {
        computes_ = true;
        const ggml_status status =
            call([&] { return ggml_backend_sched_graph_compute_async(scheduler_.get(), graph); });
        if (waits || !takes_graphs_in_a_row(device_))
            settle();
        ggml_backend_cpu_set_abort_callback(cpu_.get(), nullptr, nullptr);
        return status;
    } catch (const std::bad_alloc &) {
        // The CPU backend is left with a pointer to memory it has freed: freeing it would free that
        // twice, so it is given up; the next graph has another.
        computes_ = false;
        scheduler_.reset();
        (void)cpu_.release();
        throw;
    }
}

void GpuRunner::settle() {
    if (std::exchange(computes_, false))
        call([&] { ggml_backend_sched_synchronize(scheduler_.get()); });
}

void GpuRunner::trim() {
    settle();
    scheduler_.reset();
    if (cpu_)
        ggml_backend_cpu_set_threadpool(cpu_.get(), nullptr);
}

} // namespace ltx2
