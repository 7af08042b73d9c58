// Build, run and tap one ggml graph. A Graph lives for one run; what must outlive it is a Kept
// tensor of the device or a host array. Shapes are checked before they reach ggml, which aborts.
#pragma once

#include "base/progress.h"
#include "graph/device.h"
#include "kernels/gemm_op.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace ltx2 {

class Graph {
public:
    Graph(Device & device, const Progress & progress, size_t nodes = 2048);

    ggml_context * ctx() const { return context_.get(); }
    Device & device() const { return device_; }

    // `data` must stay until run() and is copied then.
    Tensor input(ggml_type type, Shape ne, const void * data);
    // Fetches `value` into `data` (contiguous, its own type) at the end of run().
    void output(Tensor value, void * data);
    // Writes `value` into a kept tensor of the same shape during run(), unless it was made in its
    // place.
    void keep(Tensor value, Tensor kept);
    // What a custom operation of this graph points to; lives as long as the graph.
    void hold(std::shared_ptr<void> thing) const { held_.push_back(std::move(thing)); }
    // The product of our own kernels; x [k, rows] is prepared once for all that read it alike.
    Tensor product(kernels::GemmCall call, Tensor x) const;
    // Names an intermediate value by the reference's module path; costs nothing without a tap.
    Tensor tap(const std::string & name, Tensor value) const;

    // Errors: OUT_OF_MEMORY, DEVICE, CANCELLED (between two nodes on the CPU).
    void run();

private:
    bool reserve(ggml_backend_sched_t scheduler);
    ggml_status compute();

    struct Transfer {
        Tensor tensor;
        const void * from;
        void * to;
    };
    struct Tapped {
        std::string name;
        Tensor tensor;
    };
    Device & device_;
    const Progress & progress_;
    ContextPtr context_;
    ggml_cgraph * graph_;
    std::vector<Transfer> inputs_, outputs_;
    mutable std::vector<Tapped> taps_;
    mutable std::vector<std::shared_ptr<void>> held_;
    mutable std::map<std::pair<Tensor, kernels::Arithmetic>, Tensor> prepared_;
};

} // namespace ltx2
