#include "graph/memory_plan.h"

#include "base/round.h"

#include <algorithm>
#include <unordered_map>

namespace ltx2 {

using Place = MemoryPlan::Place;

// When each value is in use, in the order of their first use.
static std::vector<Place> lifetimes(ggml_cgraph * graph, size_t alignment) {
    const int nodes = ggml_graph_n_nodes(graph);
    std::vector<Place> all;
    std::unordered_map<Tensor, size_t> index;
    const auto use = [&](Tensor tensor, int node, bool written) {
        const Tensor value = tensor->view_src ? tensor->view_src : tensor;
        if (value->data)
            return;
        const auto [found, is_new] = index.emplace(value, all.size());
        if (is_new) // an input is filled before the first node runs
            all.push_back(
                {value, 0, round_up(ggml_nbytes(value), alignment), written ? node : 0, 0});
        const bool leaves = (tensor->flags | value->flags) & GGML_TENSOR_FLAG_OUTPUT;
        Place & place = all[found->second];
        place.last = std::max(place.last, leaves ? nodes : node);
    };
    for (int i = 0; i < nodes; ++i) {
        const Tensor node = ggml_graph_node(graph, i);
        // ggml computes a norm and the product after it in one go, which reads what the norm reads
        // while it writes the product.
        const int last = i + (node->op == GGML_OP_RMS_NORM);
        for (Tensor source : node->src)
            if (source)
                use(source, last, false);
        use(node, i, !node->view_src);
    }
    return all;
}

// The large ones first, each at the lowest place that is free for as long as it is in use.
MemoryPlan::MemoryPlan(ggml_cgraph * graph, size_t alignment) {
    std::vector<Place> wanted = lifetimes(graph, alignment);
    std::stable_sort(wanted.begin(), wanted.end(),
                     [](const Place & a, const Place & b) { return a.size > b.size; });
    places.reserve(wanted.size());
    for (Place & p : wanted) {
        for (const Place & other : places) { // in the order of their offsets
            if (other.last < p.first || p.last < other.first)
                continue;
            if (p.offset + p.size <= other.offset)
                break;
            p.offset = std::max(p.offset, other.offset + other.size);
        }
        places.insert(
            std::upper_bound(places.begin(), places.end(), p,
                             [](const Place & a, const Place & b) { return a.offset < b.offset; }),
            p);
        size = std::max(size, p.offset + p.size);
    }
}

} // namespace ltx2
