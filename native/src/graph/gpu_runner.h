// Computes graphs on a GPU, and on the CPU what the GPU does not know, by ggml's scheduler. Its
// memory is kept for the next graph until `trim`.
#pragma once

#include "graph/cpu_runner.h"

namespace ltx2 {

class GpuRunner {
public:
    // DEVICE where it does not start.
    explicit GpuRunner(ggml_backend_dev_t device);

    // OUT_OF_MEMORY. Device::max_nodes is the most.
    void allocate(ggml_cgraph * graph, size_t max_nodes);
    // `cpu` lends its threads. Asks `progress` between two of the CPU's nodes whether to stop.
    ggml_status compute(ggml_cgraph * graph, CpuRunner & cpu, const Progress & progress);
    void trim();

private:
    using BackendPtr = std::unique_ptr<ggml_backend, Deleter<ggml_backend_free>>;
    using SchedulerPtr = std::unique_ptr<ggml_backend_sched, Deleter<ggml_backend_sched_free>>;

    BackendPtr gpu_, cpu_; // the CPU's is started for the first graph
    SchedulerPtr scheduler_;
};

} // namespace ltx2
