#include "trace.h"

#include "base/progress.h"

#include "ggml.h"

namespace ltx2 {

std::string label_of(const ggml_tensor * node) {
    std::string name = node->op == GGML_OP_CUSTOM ? node->name : ggml_op_desc(node);
    for (int i = 0; i < 4 && (i < 2 || node->ne[i] > 1); ++i)
        name += (i ? " x " : " ") + std::to_string(node->ne[i]);
    if (node->op == GGML_OP_MUL_MAT)
        name += " from " + std::to_string(node->src[0]->ne[0]);
    return name;
}

double Trace::now() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count();
}

void Trace::tell(const char * kind, const std::string & name, double begin) const {
    const ltx2_span span = {kind, name.c_str(), begin, now() - begin};
    if (!ask("span", function_, span, user_data_))
        fail(LTX2_STATUS_CANCELLED, "span: cancelled after %s", name.c_str());
}

// Progress repeats a stage while it goes on.
void Trace::stage(const char * name) {
    if (stage_ == name)
        return;
    end();
    stage_ = name;
    stage_began_ = now();
}

void Trace::end() {
    if (!stage_.empty())
        tell("stage", stage_, stage_began_);
    stage_.clear();
}

void Trace::graph(const char * name, bool begins) {
    if (begins)
        graph_began_ = now();
    else
        tell("graph", name, graph_began_);
}

void Trace::node(const ggml_tensor * node, bool begins) {
    if (begins)
        node_began_ = now();
    else
        tell("node", label_of(node), node_began_);
}

} // namespace ltx2
