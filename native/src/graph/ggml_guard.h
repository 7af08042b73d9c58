// ggml ends the process where it does not get the memory or the threads that it asks for. So this
// file tries first whether they can be had, or gets them itself:
// docs/decisions/0004-ggml-guard.md lists the cases.
#pragma once

#include "base/progress.h"

#include "ggml-backend.h"
#include "ggml-cpu.h"

#include <memory>

namespace ltx2 {

template <auto Free>
struct Deleter {
    template <class T>
    void operator()(T * p) const {
        Free(p);
    }
};
void free_context(ggml_context * context); // make_context's
using SchedulerPtr = std::unique_ptr<ggml_backend_sched, Deleter<ggml_backend_sched_free>>;
using BackendPtr = std::unique_ptr<ggml_backend, Deleter<ggml_backend_free>>;
using BufferPtr = std::unique_ptr<ggml_backend_buffer, Deleter<ggml_backend_buffer_free>>;
using ContextPtr = std::unique_ptr<ggml_context, Deleter<free_context>>;
using PoolPtr = std::unique_ptr<ggml_threadpool, Deleter<ggml_threadpool_free>>;

// DEVICE where the processor lacks instructions that ggml's own code was compiled to.
void check_processor();

// Metadata of `tensors` tensors (and a graph of as many nodes), no data. Throws std::bad_alloc.
ContextPtr make_context(size_t tensors);

// The threads that compute a session's graphs, the caller's and `threads` - 1 more: made for a
// stage, asleep between its graphs, ended after it, so that a waiting program has none and may
// fork. OUT_OF_MEMORY where the system does not give them.
PoolPtr make_pool(int threads);

// For graphs of at most `nodes`, leaves among them; `gpu` may be null. OUT_OF_MEMORY.
SchedulerPtr make_scheduler(ggml_backend_t gpu, ggml_backend_t cpu, size_t nodes);

// Gives the values of a graph their memory; false where there is too little.
bool allocate(ggml_backend_sched_t scheduler, ggml_cgraph * graph);

// Computes what has been allocated, and asks `progress` between two nodes on the CPU whether to
// stop. After std::bad_alloc `cpu` is broken: see `abandon`.
ggml_status compute(ggml_backend_sched_t scheduler, ggml_cgraph * graph, ggml_backend_t cpu,
                    const Progress & progress);

// For a CPU backend left with a pointer to memory it has freed: freeing it would free that twice.
inline void abandon(BackendPtr & cpu) { (void)cpu.release(); }

} // namespace ltx2
