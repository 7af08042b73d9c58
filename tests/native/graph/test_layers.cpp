// Layers by the kernels over rows against ggml's own operations, for any number of threads.
#include "graph/layers.h"
#include "kernels/kernel_tests.h"
#include "kernels/variant.h"
#include "plain.h"

#include <cstdlib>

using namespace ltx2;

namespace {

void set_plain_ops(const char * value) {
#if defined(_WIN32)
    _putenv_s("LTX2_PLAIN_OPS", value);
#else
    setenv("LTX2_PLAIN_OPS", value, 1);
#endif
}

// As in a transformer block: a modulated norm, a gate, a norm of a branch, a sum.
std::vector<float> block(Device & device, int64_t width, int64_t tokens, int64_t timesteps) {
    random_bits.seed(5);
    const Progress quiet;
    const auto kept = [&](Shape ne) {
        Kept k = device.keep(GGML_TYPE_F32, ne);
        const std::vector<float> v = normal_values(ggml_nelements(k.tensor));
        ggml_backend_tensor_set(k.tensor, v.data(), 0, ggml_nbytes(k.tensor));
        return k;
    };
    const Kept x = kept({width, tokens, 1, 1}), table = kept({width, 3, timesteps, 1});
    const Kept branch = kept({width, tokens, 1, 1}), weight = kept({width, 1, 1, 1});
    std::vector<int32_t> index;
    for (int64_t t = 0; t < tokens; ++t)
        index.push_back(any(0, static_cast<int>(timesteps) - 1));
    Graph g(device, quiet);
    Tensor which =
        timesteps > 1 ? g.input(GGML_TYPE_I32, {tokens, 1, 1, 1}, index.data()) : nullptr;
    const RmsNorm norm(weight.tensor, 1e-6f);
    Tensor a =
        modulate(g, Norm::rms, x.tensor, 1e-6f, {table.tensor, 1, which}, {table.tensor, 0, which});
    Tensor y = add_gated(g, x.tensor, mul(g, a, branch.tensor), {table.tensor, 2, which});
    y = norm.add(g, y, modulate(g, Norm::layer, y, 1e-6f, {table.tensor, 2}, {table.tensor, 1}));
    Tensor b = norm(g, y);
    y = add_gated(g, y, mul(g, normed(g, Norm::rms, b, 1e-6f), branch.tensor));
    g.keep(y, x.tensor);
    g.run();
    std::vector<float> out(static_cast<size_t>(width * tokens));
    ggml_backend_tensor_get(x.tensor, out.data(), 0, ggml_nbytes(x.tensor));
    return out;
}

TEST(nodes_equal_ggml_s_operations) {
    Nmse error;
    for (const Shape & s : {Shape{100, 37, 1, 0}, Shape{65, 200, 3, 0}, Shape{4096, 5, 2, 0}}) {
        Device one("CPU", 1), two("CPU", 3);
        CHECK(&one.ops() == &cpu_ops);
        const std::vector<float> have = block(one, s[0], s[1], s[2]);
        CHECK(block(two, s[0], s[1], s[2]) == have);
        set_plain_ops("1");
        Device plain("CPU", 1);
        set_plain_ops("");
        CHECK(&plain.ops() == &ggml_cpu_ops);
        error.add(have, block(plain, s[0], s[1], s[2]));
    }
    std::printf("nodes: NMSE %.2g\n", error.value());
    CHECK(error.value() < 6e-14); // measured 1.3e-14
}

// Of six heads over two of keys, each query seeing a window.
std::vector<float> attention(Device & device, int64_t head_dim, int64_t tokens) {
    random_bits.seed(6);
    const Progress quiet;
    std::vector<float> q = normal_values(6 * head_dim * tokens);
    std::vector<float> k = normal_values(2 * head_dim * tokens), v = normal_values(k.size());
    std::vector<float> norm = normal_values(head_dim), out(q.size());
    const auto rows = [&](Graph & g, int64_t heads, const std::vector<float> & values) {
        return g.input(GGML_TYPE_F32, {heads * head_dim, tokens, 1, 1}, values.data());
    };
    Graph g(device, quiet);
    AttentionCall call;
    call.q = rows(g, 6, q), call.k = rows(g, 2, k), call.v = rows(g, 2, v);
    call.q_norm = call.k_norm = g.input(GGML_TYPE_F32, {head_dim, 1, 1, 1}, norm.data());
    call.head_dim = head_dim, call.eps = 1e-6f, call.scale = 0.1f, call.window = 20;
    g.output(g.ops().attention(g, call), out.data());
    g.run();
    return out;
}

TEST(heads_past_ggml_s_kernels_equal_ours) {
    Device ours("CPU", 2);
    set_plain_ops("1");
    Device plain("CPU", 2);
    set_plain_ops("");
    Nmse error;
    for (const int64_t head_dim : {256, 320, 512})
        error.add(attention(ours, head_dim, 50), attention(plain, head_dim, 50));
    std::printf("heads: NMSE %.2g\n", error.value());
    CHECK(error.value() < 3e-12); // measured 6.7e-13
}

TEST(gelu_node_multiplies) {
    const Progress quiet;
    Device device("CPU", 2);
    std::vector<float> x = normal_values(48 * 70), up = normal_values(48 * 70), out(x.size());
    Graph g(device, quiet);
    Tensor gate = add(g, g.input(GGML_TYPE_F32, {48, 70, 1, 1}, x.data()),
                      g.input(GGML_TYPE_F32, {48, 70, 1, 1}, up.data()));
    g.output(gelu(g, gate, g.input(GGML_TYPE_F32, {48, 70, 1, 1}, up.data())), out.data());
    g.run();
    std::vector<double> want;
    for (size_t i = 0; i < x.size(); ++i)
        want.push_back(gelu_plain(x[i] + up[i]) * up[i]);
    Nmse error;
    error.add(out, want);
    CHECK(error.value() < 6e-15);
}

} // namespace

int main(int argc, char ** argv) { return run_kernel_tests(argc, argv); }
