// Computes graphs on the CPU. The memory of their values and the threads are kept for the next
// graph until `trim`.
#pragma once

#include "base/progress.h"
#include "graph/ggml_guard.h"
#include "kernels/calls.h"
#include "kernels/scratch.h"

namespace ltx2 {

class CpuRunner {
public:
    explicit CpuRunner(int threads) : threads_(threads) {}

    // Gives the values of a graph their memory. OUT_OF_MEMORY.
    void allocate(ggml_cgraph * graph);
    // Asks `progress` between two nodes whether to stop. Throws std::bad_alloc, before the first.
    ggml_status compute(ggml_cgraph * graph, const Progress & progress);
    // The threads, for whoever else computes. OUT_OF_MEMORY.
    ggml_threadpool * pool();
    int threads() const { return threads_; }
    void trim();

private:
    ggml_status compute_part(ggml_cgraph * graph, const Progress & progress);

    int threads_;
    PoolPtr pool_;
    Buffer values_;
    Scratch work_; // what ggml's operations work in
};

} // namespace ltx2
