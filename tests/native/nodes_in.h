// Nodes in one context, which has room for all of them.
#pragma once

#include "kernels/nodes.h"

struct NodesIn : ltx2::Nodes {
    NodesIn(ggml_context * in, ltx2::Workers workers, bool exact) : Nodes(workers, exact), in(in) {}
    ggml_context * ctx() override { return in; }

    ggml_context * in;
};
