// Where the values of a graph lie in one piece of memory.
#pragma once

#include "kernels/calls.h"

#include <vector>

namespace ltx2 {

struct MemoryPlan {
    struct Place {
        Tensor tensor;
        size_t offset, size;
        int first, last; // nodes: the one that writes it (of an input: 0), and the last that reads
    };
    std::vector<Place> places;
    size_t size = 0; // of all

    // Of the tensors that nodes of `graph` write or read and that have no memory yet. Two share a
    // place where one is no longer read when the other is written; outputs share theirs with
    // nothing that comes later. Throws std::bad_alloc.
    MemoryPlan(ggml_cgraph * graph, size_t alignment);
};

} // namespace ltx2
