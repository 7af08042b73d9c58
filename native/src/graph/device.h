// Which backend computes. One per session: it owns the backends, the scheduler with its compute
// memory, and, in tests, the function that sees intermediate values.
#pragma once

#include "base/error.h"
#include "graph/threads.h"
#include "kernels/scratch.h"

#include "ggml-backend.h"

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace ltx2 {

using Tensor = ggml_tensor *;
using Shape = std::array<int64_t, 4>; // ggml order, fastest first

struct SchedulerDelete {
    void operator()(ggml_backend_sched_t p) const { ggml_backend_sched_free(p); }
};
struct BackendDelete {
    void operator()(ggml_backend_t p) const { ggml_backend_free(p); }
};
struct BufferDelete {
    void operator()(ggml_backend_buffer_t p) const { ggml_backend_buffer_free(p); }
};
struct ContextDelete {
    void operator()(ggml_context * p) const {
        void * memory = ggml_get_mem_buffer(p); // make_context's
        ggml_free(p);
        ::operator delete(memory);
    }
};
using SchedulerPtr = std::unique_ptr<ggml_backend_sched, SchedulerDelete>;
using BackendPtr = std::unique_ptr<ggml_backend, BackendDelete>;
using BufferPtr = std::unique_ptr<ggml_backend_buffer, BufferDelete>;
using ContextPtr = std::unique_ptr<ggml_context, ContextDelete>;

// Metadata of `tensors` tensors (and a graph of as many nodes), no data. OUT_OF_MEMORY.
ContextPtr make_context(size_t tensors);

// A tensor that outlives the graphs that read and write it.
class Kept {
public:
    Tensor tensor = nullptr;

private:
    friend class Device;
    ContextPtr context_;
    BufferPtr buffer_;
};

class Device {
public:
    static std::vector<std::string> names();

    // `name` empty: the first GPU, else the CPU. `threads` 0: one a physical core. DEVICE.
    Device(const std::string & name, int threads);

    bool is_cpu() const { return !gpu_; }
    int threads() const { return threads_; }
    ggml_backend_t backend() const { return gpu_ ? gpu_.get() : cpu_.get(); }
    size_t memory() const; // bytes the device has in all; 0: it does not say
    ggml_backend_t cpu() const { return cpu_.get(); }
    // The scheduler with its compute memory, what kernels work in, and the threads stay for the
    // next graph until `trim`. OUT_OF_MEMORY.
    ggml_backend_sched_t scheduler();
    Scratch & scratch() { return scratch_; }
    void trim();

    // After std::bad_alloc in a graph: ggml's CPU backend is then left with a pointer to memory it
    // has freed, so it is given up, never freed, and another takes its place. DEVICE.
    void replace_cpu();

    Kept keep(ggml_type type, Shape ne) const; // zeroed; OUT_OF_MEMORY

    // LTX2_EXACT=1 in the environment: all arithmetic in F32, activations are not rounded to meet
    // the weights. For comparing implementations. On ggml's own operations every matrix is loaded
    // as F32 for it, up to eight times the memory.
    bool exact() const { return exact_; }
    // Whether our own kernels run: on the CPU, unless the environment has LTX2_PLAIN_OPS=1. Without
    // them every part uses ggml's operations, as on a GPU.
    bool own_kernels() const { return is_cpu() && !plain_; }

    // For tests: is called with every tapped value, F32, contiguous, in ggml order.
    using TapFn = std::function<void(const std::string & name, Shape ne, const float * data)>;
    TapFn tap;

    static constexpr size_t max_nodes = 4096; // of one graph, its leaves among them

private:
    void start_cpu();

    BackendPtr cpu_, gpu_;
    PoolPtr pool_;
    SchedulerPtr scheduler_;
    Scratch scratch_;
    int threads_ = 1;
    bool exact_ = false, plain_ = false;
};

} // namespace ltx2
