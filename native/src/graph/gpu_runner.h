// Computes graphs on a GPU, and on the CPU what the GPU does not know, by ggml's scheduler. Its
// memory is kept for the next graph until `trim`.
#pragma once

#include "graph/cpu_runner.h"

#include <set>
#include <string>
#include <vector>

namespace ltx2 {

class GpuRunner {
public:
    // DEVICE where it does not start.
    explicit GpuRunner(ggml_backend_dev_t device);

    void allocate(ggml_cgraph * graph); // OUT_OF_MEMORY
    // `cpu` lends its threads. Asks `progress` between two of the CPU's nodes whether to stop.
    // Where it does not wait, the device may still compute afterwards, until the next call that
    // waits.
    ggml_status compute(ggml_cgraph * graph, CpuRunner & cpu, const Progress & progress,
                        bool waits);
    void settle(); // waits for what still computes
    void trim();
    std::vector<std::string> lacks() const { return {lacks_.begin(), lacks_.end()}; }

    // What Body() does with the device. Where the device has no memory for it, OUT_OF_MEMORY: the
    // next call may do. Where the device itself failed, DEVICE, then and from then on.
    template <class Body>
    auto call(Body && body) {
        check_alive();
        try {
            const AbortsThrow aborts_throw;
            return body();
        } catch (...) {
            failed();
        }
    }

private:
    void check_alive() const;
    [[noreturn]] void failed(); // within a catch
    void report(const ggml_cgraph * graph);
    void allocate_now(ggml_cgraph * graph);
    using BackendPtr = std::unique_ptr<ggml_backend, Freed<ggml_backend_free>>;
    using SchedulerPtr = std::unique_ptr<ggml_backend_sched, Freed<ggml_backend_sched_free>>;

    ggml_backend_dev_t device_;
    BackendPtr gpu_, cpu_; // the CPU's is started for the first graph
    SchedulerPtr scheduler_;
    size_t most_nodes_ = 4096;     // of a graph, that the scheduler has tables for
    std::vector<int64_t> outline_; // of the graph that the scheduler has reserved memory for
    bool computes_ = false;        // perhaps still
    std::string lost_;             // how the device failed, if it did
    std::set<std::string> lacks_;  // operations that the CPU computes in its place
};

} // namespace ltx2
