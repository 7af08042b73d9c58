// Build, run and tap one ggml graph. A Graph lives for one run; what must outlive it is a Kept
// tensor of the device or a host array. Shapes are checked before they reach ggml, which aborts.
#pragma once

#include "base/progress.h"
#include "graph/device.h"

#include <string>
#include <vector>

namespace ltx2 {

class Graph : public Nodes {
public:
    Graph(Device & device, const Progress & progress, size_t nodes = 2048);

    Device & device() { return device_; }
    const Ops & ops() const { return device_.ops(); }

    // Fetches `value` into `data` (contiguous, its own type) at the end of run().
    void output(Tensor value, void * data);
    // Writes `value` into a kept tensor of the same shape during run(), unless it was made in its
    // place.
    void keep(Tensor value, Tensor kept);
    void compute(Tensor value); // before what is asked for later, though nothing reads it
    // Names an intermediate value by the reference's module path; costs nothing without a tap.
    Tensor tap(const std::string & name, Tensor value);

    // What a watch is told.
    void named(std::string name) { name_ = std::move(name); }

    // Errors: OUT_OF_MEMORY, DEVICE, CANCELLED (between two nodes on the CPU).
    void run() { run(true); }
    // The same without waiting for a GPU: see Device::compute.
    void start() { run(false); }

private:
    Graph(Device & device, const Progress & progress, size_t nodes, ContextPtr context);
    void run(bool waits);

    struct Output {
        Tensor tensor;
        void * to;
    };
    struct Tapped {
        std::string name;
        Tensor tensor;
    };
    Device & device_;
    const Progress & progress_;
    std::string name_ = "graph";
    ContextPtr context_;
    ggml_cgraph * graph_;
    std::vector<Output> outputs_;
    std::vector<Tapped> taps_;
};

} // namespace ltx2
