#include "bench.h"
#include "coded.h"
#include "kernels/cpu_ops.h"
#include "nodes_in.h"

#include "ggml-cpu.h"

#include <cstring>
#include <ctime>
#include <memory>
#include <sstream>

namespace ltx2 {

namespace {
// A type of ggml, or a format of ComfyUI.
struct Kind {
    ggml_type type;
    const CodedKind * coded; // null: `type` says all
};
struct Product {
    static constexpr int64_t k = 4096, n = 1024;
    std::unique_ptr<ggml_context, decltype(&ggml_free)> context;
    Scratch scratch;
    NodesIn nodes; // keep what their operations need
    std::unique_ptr<CodedMatrix> coded;
    ggml_cgraph * graph;

    Product(const Kind & kind, int threads, int64_t rows)
        : context(ggml_init({size_t{256} << 20, nullptr, false}), ggml_free),
          nodes(context.get(), {threads, scratch}, /*exact=*/false) {
        ggml_tensor * x = ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, k, rows);
        const std::vector<float> values = random_values(k * rows);
        std::memcpy(x->data, values.data(), ggml_nbytes(x));
        const Matrix weight = kind.coded ? codes(*kind.coded) : typed(kind.type, values);
        graph = ggml_new_graph(context.get());
        ggml_build_forward_expand(
            graph, kernels::matmul(nodes, {weight, x, nullptr, false, Activations::bits8}));
    }

private:
    // One row for all of them: to some types ggml quantises slowly.
    Matrix typed(ggml_type type, const std::vector<float> & values) {
        const std::vector<float> ones(k, 1.0f);
        ggml_tensor * weight = ggml_new_tensor_2d(context.get(), type, k, n);
        ggml_quantize_chunk(type, values.data(), weight->data, 0, 1, k, ones.data());
        for (int64_t i = 1; i < n; ++i)
            std::memcpy(static_cast<char *>(weight->data) + static_cast<size_t>(i) * weight->nb[1],
                        weight->data, weight->nb[1]);
        return weight;
    }
    Matrix codes(const CodedKind & kind) {
        coded = std::make_unique<CodedMatrix>(kind, k, n, 16, 256);
        ggml_tensor * weight =
            ggml_new_tensor_2d(context.get(), GGML_TYPE_I8, coded->coding.row_bytes, n);
        std::memcpy(weight->data, coded->codes.data(), coded->codes.size());
        return {weight, &coded->coding};
    }
};

Kind kind_of(const std::string & name) {
    for (int i = 0; i < GGML_TYPE_COUNT; ++i)
        if (const char * known = ggml_type_name(static_cast<ggml_type>(i)); known && name == known)
            return {static_cast<ggml_type>(i), nullptr};
    for (const CodedKind & coded : coded_kinds)
        if (name == coded.name)
            return {GGML_TYPE_I8, &coded};
    fail(LTX2_STATUS_INVALID_ARGUMENT, "%s: no such type", name.c_str());
}
} // namespace

// A graph runs once.
static double product_seconds(const Kind & kind, int threads, int rows) {
    const Product product(kind, threads, rows);
    const std::clock_t begin = std::clock();
    ggml_graph_compute_with_ctx(product.context.get(), product.graph, threads);
    return double(std::clock() - begin) / CLOCKS_PER_SEC;
}

Run types_run(int threads, const std::string & kinds, int rows) {
    std::vector<Kind> all;
    std::istringstream names(kinds);
    for (std::string name; std::getline(names, name, ',');)
        all.push_back(kind_of(name));
    return [=] {
        std::vector<double> seconds;
        for (const Kind & kind : all)
            seconds.push_back(product_seconds(kind, threads, rows));
        return seconds;
    };
}

} // namespace ltx2
