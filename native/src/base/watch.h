// Who watches a call: Progress tells it the stages, what computes tells it graphs and their nodes.
// Without one nothing is measured.
#pragma once

struct ggml_tensor;

namespace ltx2 {

class Watch {
public:
    virtual ~Watch() = default;
    virtual void stage(const char *) {}
    virtual void graph(const char *, bool /*begins*/) {}
    virtual void node(const ggml_tensor * node, bool begins) = 0;
};

} // namespace ltx2
