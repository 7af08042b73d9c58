// The kernels over rows against their scalar twins in double, on random ragged widths; and as graph
// nodes against ggml's own operations, for any number of threads.
#include "check.h"
#include "graph/layers.h"
#include "kernels/variant.h"
#include "plain.h"

#include <cmath>
#include <cstdlib>
#include <random>

using namespace ltx2;
using kernels::NormRow;

namespace {

std::mt19937 random_bits(11);
int any(int least, int most) {
    return least + static_cast<int>(random_bits() % static_cast<unsigned>(most - least + 1));
}
std::vector<float> values(int64_t count, float mean = 0, float deviation = 1) {
    std::normal_distribution<float> normal(mean, deviation);
    std::vector<float> out(static_cast<size_t>(count));
    for (float & v : out)
        v = normal(random_bits);
    return out;
}

// NMSE over all that has been added: one value alone may be what is left of two that cancel.
struct Error {
    double wrong = 0, all = 0;
    void add(const std::vector<float> & have, const std::vector<double> & want) {
        for (size_t i = 0; i < want.size(); ++i) {
            wrong += std::pow(have[i] - want[i], 2);
            all += want[i] * want[i];
        }
    }
    double nmse() const { return wrong / all; }
};

std::vector<double> norm_plain(const NormRow & r) {
    double mean = 0, squares = 0;
    for (int64_t i = 0; i < r.n; ++i)
        mean += r.x[i] / double(r.n);
    if (r.norm != Norm::layer)
        mean = 0;
    for (int64_t i = 0; i < r.n; ++i)
        squares += (r.x[i] - mean) * (r.x[i] - mean) / double(r.n);
    const double factor = r.norm == Norm::none ? 1 : 1 / std::sqrt(squares + double(r.eps));
    std::vector<double> out;
    for (int64_t i = 0; i < r.n; ++i)
        out.push_back((r.x[i] - mean) * factor * (r.scale ? double(r.base) + r.scale[i] : 1) +
                      (r.add ? r.add[i] : 0));
    return out;
}

const std::vector<int64_t> & widths() {
    static const std::vector<int64_t> all = [] {
        std::vector<int64_t> list = {1, 2, 3, 15, 16, 17, 64, 3840, 4096};
        for (int i = 0; i < 60; ++i)
            list.push_back(any(1, 300));
        return list;
    }();
    return all;
}

// One value past the end must stay as it is.
constexpr float untouched = 12345;

void norms_equal_their_scalar_twin() {
    Error error;
    for (int64_t n : widths())
        for (Norm norm : {Norm::none, Norm::rms, Norm::layer})
            for (int form = 0; form < 8; ++form) {
                // One value's variance is 0 in double, and rounding in float.
                if (norm == Norm::layer && n < 3)
                    continue;
                const std::vector<float> x = values(n, 3, 2), scale = values(n), add = values(n);
                std::vector<float> out = form & 4 ? x : add;
                out.push_back(untouched);
                NormRow row = {form & 4 ? out.data() : x.data(),
                               form & 1 ? scale.data() : nullptr,
                               form & 2 ? add.data() : nullptr,
                               out.data(),
                               n,
                               norm,
                               1e-6f,
                               static_cast<float>(form % 2)};
                if (form == 3)
                    row.add = out.data();
                const std::vector<double> want = norm_plain(row);
                kernels::variant().rows.norm(row);
                CHECK(out.back() == untouched);
                error.add(out, want);
            }
    std::printf("norm: NMSE %.2g\n", error.nmse());
    CHECK(error.nmse() < 9e-15); // measured 2.2e-15
}

void sums_and_gelu_equal_their_scalar_twins() {
    Error add, gelu;
    for (int64_t n : widths())
        for (int form = 0; form < 2; ++form) {
            const std::vector<float> x = values(n, 0, 3), branch = values(n), gate = values(n);
            std::vector<double> sums, gelus;
            for (size_t i = 0; i < x.size(); ++i) {
                sums.push_back(x[i] + double(branch[i]) * (form ? gate[i] : 1));
                gelus.push_back(gelu_plain(x[i]) * (form ? gate[i] : 1));
            }
            std::vector<float> out = x;
            out.push_back(untouched);
            kernels::variant().rows.add(out.data(), branch.data(), form ? gate.data() : nullptr,
                                        out.data(), n);
            CHECK(out.back() == untouched);
            add.add(out, sums);
            std::copy(x.begin(), x.end(), out.begin());
            kernels::variant().rows.gelu(out.data(), form ? gate.data() : nullptr, out.data(), n);
            CHECK(out.back() == untouched);
            gelu.add(out, gelus);
        }
    std::printf("add: NMSE %.2g, gelu: %.2g\n", add.nmse(), gelu.nmse());
    CHECK(add.nmse() < 3e-15);  // measured 7.2e-16
    CHECK(gelu.nmse() < 6e-15); // measured 1.4e-15
}

void rms_silu_and_dot_equal_their_scalar_twins() {
    Error normed, dots;
    for (int64_t n : widths()) {
        const std::vector<float> x = values(n, 0, 3), y = values(n, 1);
        double squares = 0, dot = 0;
        for (size_t i = 0; i < x.size(); ++i) {
            squares += double(x[i]) * x[i] / double(n);
            dot += double(x[i]) * y[i];
        }
        std::vector<double> want;
        for (float v : x) {
            const double norm = v / std::sqrt(squares + 1e-8);
            want.push_back(norm / (1 + std::exp(-norm)));
        }
        std::vector<float> out(x.size() + 1, untouched);
        kernels::variant().rows.rms_silu(x.data(), out.data(), n, 1e-8f);
        CHECK(out.back() == untouched);
        normed.add(out, want);
        dots.add({kernels::variant().rows.dot(x.data(), y.data(), n)}, {dot});
    }
    std::printf("rms_silu: NMSE %.2g, dot: %.2g\n", normed.nmse(), dots.nmse());
    CHECK(normed.nmse() < 3e-14); // measured 8.0e-15
    CHECK(dots.nmse() < 4e-13);   // measured 1.0e-13
}

void every_half_is_read_as_it_is() {
    std::vector<uint16_t> halves;
    for (unsigned bits = 0; bits < 0x10000; ++bits)
        if ((bits >> 10 & 31) != 31) // infinite, or no number
            halves.push_back(static_cast<uint16_t>(bits));
    for (size_t n : {halves.size(), size_t{1}, size_t{13}}) {
        std::vector<float> out(n + 1, untouched);
        kernels::variant().rows.from_f16(halves.data(), out.data(), static_cast<int64_t>(n));
        size_t wrong = out.back() != untouched;
        for (size_t i = 0; i < n; ++i)
            wrong += out[i] != ggml_fp16_to_fp32(halves[i]);
        CHECK(wrong == 0);
    }
}

// Very large and very small values end in x and in nothing.
void gelu_is_right_at_its_ends() {
    float x[] = {1e4f, -1e4f, 100, -100, 0, -20, 20, 1e-20f};
    kernels::variant().rows.gelu(x, nullptr, x, 8);
    CHECK(x[0] == 1e4f && x[2] == 100 && x[6] == 20 && x[4] == 0);
    CHECK(std::fabs(x[1]) < 1e-30f && std::fabs(x[3]) < 1e-30f && std::fabs(x[5]) < 1e-30f);
    CHECK(x[7] == 0.5e-20f);
}

// All of it as in a block: a modulated norm, a gate, a norm behind a branch, GELU, a sum.
std::vector<float> block(Device & device, int64_t width, int64_t tokens, int64_t timesteps) {
    random_bits.seed(5);
    const Progress quiet;
    const auto kept = [&](Shape ne) {
        Kept k = device.keep(GGML_TYPE_F32, ne);
        const std::vector<float> v = values(ggml_nelements(k.tensor));
        ggml_backend_tensor_set(k.tensor, v.data(), 0, ggml_nbytes(k.tensor));
        return k;
    };
    const Kept x = kept({width, tokens, 1, 1}), table = kept({width, 3, timesteps, 1});
    const Kept branch = kept({width, tokens, 1, 1}), weight = kept({width, 1, 1, 1});
    std::vector<int32_t> index;
    for (int64_t t = 0; t < tokens; ++t)
        index.push_back(any(0, static_cast<int>(timesteps) - 1));
    Graph g(device, quiet, 64);
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

void nodes_equal_ggml_s_operations() {
    Error error;
    for (const Shape & s : {Shape{100, 37, 1, 0}, Shape{65, 200, 3, 0}, Shape{4096, 5, 2, 0}}) {
        Device one("CPU", 1), two("CPU", 3);
        CHECK(&one.ops() == &cpu_ops);
        const std::vector<float> have = block(one, s[0], s[1], s[2]);
        CHECK(block(two, s[0], s[1], s[2]) == have);
        setenv("LTX2_PLAIN_OPS", "1", 1);
        Device plain("CPU", 1);
        unsetenv("LTX2_PLAIN_OPS");
        CHECK(&plain.ops() == &ggml_cpu_ops);
        const std::vector<float> want = block(plain, s[0], s[1], s[2]);
        error.add(have, {want.begin(), want.end()});
    }
    std::printf("nodes: NMSE %.2g\n", error.nmse());
    CHECK(error.nmse() < 6e-14); // measured 1.3e-14
}

void gelu_node_multiplies() {
    const Progress quiet;
    Device device("CPU", 2);
    std::vector<float> x = values(48 * 70), up = values(48 * 70), out(x.size());
    Graph g(device, quiet, 16);
    Tensor gate = add(g, g.input(GGML_TYPE_F32, {48, 70, 1, 1}, x.data()),
                      g.input(GGML_TYPE_F32, {48, 70, 1, 1}, up.data()));
    g.output(gelu(g, gate, g.input(GGML_TYPE_F32, {48, 70, 1, 1}, up.data())), out.data());
    g.run();
    std::vector<double> want;
    for (size_t i = 0; i < x.size(); ++i)
        want.push_back(gelu_plain(x[i] + up[i]) * up[i]);
    Error error;
    error.add(out, want);
    CHECK(error.nmse() < 6e-15);
}

} // namespace

int main() {
    if (!kernels::choose_variant(std::getenv("LTX2_ISA")))
        return 77;
    unsetenv("LTX2_PLAIN_OPS");
    norms_equal_their_scalar_twin();
    sums_and_gelu_equal_their_scalar_twins();
    gelu_is_right_at_its_ends();
    rms_silu_and_dot_equal_their_scalar_twins();
    every_half_is_read_as_it_is();
    nodes_equal_ggml_s_operations();
    gelu_node_multiplies();
    return check_result();
}
