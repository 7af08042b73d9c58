// Build, run and tap one ggml graph. A Graph lives for one run; what must outlive it is a Kept
// tensor of the device or a host array. Shapes are checked before they reach ggml, which aborts.
#pragma once

#include "base/progress.h"
#include "graph/device.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace ltx2 {

class Graph {
public:
    Graph(Device & device, const Progress & progress, size_t nodes = 2048);

    ggml_context * ctx() { return context_.get(); }
    Device & device() { return device_; }
    const Ops & ops() const { return device_.ops(); }

    // `data` must stay until run() and is copied then.
    Tensor input(ggml_type type, Shape ne, const void * data);
    // Fetches `value` into `data` (contiguous, its own type) at the end of run().
    void output(Tensor value, void * data);
    // Writes `value` into a kept tensor of the same shape during run(), unless it was made in its
    // place.
    void keep(Tensor value, Tensor kept);
    // What a custom operation of this graph points to, or an input's data; lives as long as the
    // graph.
    void hold(std::shared_ptr<void> thing) { held_.push_back(std::move(thing)); }
    // For operations: x in a form, by its number, that all of them that want it share. Null at
    // first: whoever makes it puts it here.
    Tensor & form_of(Tensor x, int form) { return forms_[{x, form}]; }
    // Names an intermediate value by the reference's module path; costs nothing without a tap.
    Tensor tap(const std::string & name, Tensor value);

    // Errors: OUT_OF_MEMORY, DEVICE, CANCELLED (between two nodes on the CPU).
    void run();

private:
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
    std::vector<Tapped> taps_;
    std::vector<std::shared_ptr<void>> held_;
    std::map<std::pair<Tensor, int>, Tensor> forms_;
};

// What is the same on every backend.

inline Tensor add(Graph & g, Tensor a, Tensor b) { return ggml_add(g.ctx(), a, b); } // b broadcasts
inline Tensor mul(Graph & g, Tensor a, Tensor b) { return ggml_mul(g.ctx(), a, b); } // likewise
// `count` frames of x [channels, width, height, frames] from `first` on: a view.
Tensor frames_of(Graph & g, Tensor x, int64_t first, int64_t count);
// x [heads * head_dim, tokens], each head times 2 sigmoid of its logit [heads, tokens].
Tensor gate_heads(Graph & g, Tensor x, Tensor logits);

} // namespace ltx2
