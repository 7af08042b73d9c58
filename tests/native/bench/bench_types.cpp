#include "bench.h"
#include "kernels/cpu_ops.h"

#include "ggml-cpu.h"

#include <cstring>
#include <ctime>
#include <memory>
#include <sstream>

namespace ltx2 {

static ggml_type type_of(const std::string & name) {
    for (int i = 0; i < GGML_TYPE_COUNT; ++i)
        if (const char * known = ggml_type_name(static_cast<ggml_type>(i)); known && name == known)
            return static_cast<ggml_type>(i);
    fail(LTX2_STATUS_INVALID_ARGUMENT, "%s: no such type", name.c_str());
}

namespace {
struct Product {
    static constexpr int64_t k = 4096, n = 1024;
    std::unique_ptr<ggml_context, decltype(&ggml_free)> context;
    Scratch scratch;
    Nodes nodes; // keep what their operations need
    ggml_cgraph * graph;

    Product(ggml_type type, int threads, int64_t rows)
        : context(ggml_init({size_t{256} << 20, nullptr, false}), ggml_free),
          nodes(context.get(), {threads, scratch}, /*exact=*/false) {
        ggml_tensor * weight = ggml_new_tensor_2d(context.get(), type, k, n);
        ggml_tensor * x = ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, k, rows);
        const std::vector<float> values = random_values(k * rows), ones(k, 1.0f);
        std::memcpy(x->data, values.data(), ggml_nbytes(x));
        // One row for all of them: to some types ggml quantises slowly.
        ggml_quantize_chunk(type, values.data(), weight->data, 0, 1, k, ones.data());
        for (int64_t i = 1; i < n; ++i)
            std::memcpy(static_cast<char *>(weight->data) + static_cast<size_t>(i) * weight->nb[1],
                        weight->data, weight->nb[1]);
        graph = ggml_new_graph(context.get());
        ggml_build_forward_expand(
            graph, kernels::matmul(nodes, {weight, x, nullptr, false, Activations::bits8}));
    }
};
} // namespace

// A graph runs once.
static double product_seconds(ggml_type type, int threads, int rows) {
    const Product product(type, threads, rows);
    const std::clock_t begin = std::clock();
    ggml_graph_compute_with_ctx(product.context.get(), product.graph, threads);
    return double(std::clock() - begin) / CLOCKS_PER_SEC;
}

Run types_run(int threads, const std::string & kinds, int rows) {
    std::vector<ggml_type> types;
    std::istringstream names(kinds);
    for (std::string name; std::getline(names, name, ',');)
        types.push_back(type_of(name));
    return [=] {
        std::vector<double> seconds;
        for (ggml_type type : types)
            seconds.push_back(product_seconds(type, threads, rows));
        return seconds;
    };
}

} // namespace ltx2
