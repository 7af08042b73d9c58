// What took how long, told to the caller as it ends: stages, in them graphs, in those nodes.
#pragma once

#include "base/watch.h"
#include "ltx2.h"

#include <chrono>
#include <string>

namespace ltx2 {

// What a node does, and the shape of its result.
std::string label_of(const ggml_tensor * node);

class Trace : public Watch {
public:
    Trace(ltx2_span_fn function, void * user_data) : function_(function), user_data_(user_data) {}

    void stage(const char * name) override;
    void graph(const char * name, bool begins) override;
    void node(const ggml_tensor * node, bool begins) override;
    void end(); // of the last stage

private:
    double now() const;
    // CANCELLED where the caller says stop.
    void tell(const char * kind, const std::string & name, double begin) const;

    ltx2_span_fn function_;
    void * user_data_;
    std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
    std::string stage_;
    double stage_began_ = 0, graph_began_ = 0, node_began_ = 0;
};

} // namespace ltx2
