// Build, run and tap one ggml graph of any number of nodes. A Graph lives for one run; what must
// outlive it is a Kept tensor of the device or a host array. Shapes are checked before they reach
// ggml, which aborts.
#pragma once

#include "base/progress.h"
#include "graph/device.h"

#include <string>
#include <vector>

namespace ltx2 {

class Graph : public Nodes {
public:
    Graph(Device & device, const Progress & progress);

    ggml_context * ctx() override;
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
    ggml_cgraph * ordered(); // what was asked for, and all that it reads
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
    std::vector<ContextPtr> contexts_;
    std::vector<Tensor> wanted_; // in order
    std::vector<Output> outputs_;
    std::vector<Tapped> taps_;
};

} // namespace ltx2
