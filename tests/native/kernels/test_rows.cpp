// The kernels over rows against their scalar references in double, on random ragged widths.
#include "kernels/kernel_tests.h"
#include "kernels/variant.h"
#include "plain.h"

#include "ggml.h"

#include <cmath>

using namespace ltx2;

using kernels::NormRow;

namespace {

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

std::vector<int64_t> widths() {
    std::vector<int64_t> list = {1, 2, 3, 15, 16, 17, 64, 3840, 4096};
    for (int i = 0; i < 60; ++i)
        list.push_back(any(1, 300));
    return list;
}

// One value past the end must stay as it is.
constexpr float untouched = 12345;

TEST(norms_equal_the_scalar_reference) {
    Nmse error;
    for (int64_t n : widths())
        for (Norm norm : {Norm::none, Norm::rms, Norm::layer})
            for (int form = 0; form < 8; ++form) {
                // One value's variance is 0 in double, and rounding in float.
                if (norm == Norm::layer && n < 3)
                    continue;
                const std::vector<float> x = normal_values(n, 3, 2), scale = normal_values(n),
                                         add = normal_values(n);
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
    std::printf("norm: NMSE %.2g\n", error.value());
    CHECK(error.value() < 9e-15); // measured 2.2e-15
}

TEST(sums_and_gelu_equal_the_scalar_references) {
    Nmse add, gelu;
    for (int64_t n : widths())
        for (int form = 0; form < 2; ++form) {
            const std::vector<float> x = normal_values(n, 0, 3), branch = normal_values(n),
                                     gate = normal_values(n);
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
    std::printf("add: NMSE %.2g, gelu: %.2g\n", add.value(), gelu.value());
    CHECK(add.value() < 3e-15);  // measured 7.2e-16
    CHECK(gelu.value() < 6e-15); // measured 1.4e-15
}

TEST(rms_silu_and_dot_equal_the_scalar_references) {
    Nmse normed, dots;
    for (int64_t n : widths()) {
        const std::vector<float> x = normal_values(n, 0, 3), y = normal_values(n, 1);
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
        dots.add(kernels::variant().rows.dot(x.data(), y.data(), n), dot);
    }
    std::printf("rms_silu: NMSE %.2g, dot: %.2g\n", normed.value(), dots.value());
    CHECK(normed.value() < 3e-14); // measured 8.0e-15
    CHECK(dots.value() < 4e-13);   // measured 1.0e-13
}

TEST(every_half_is_read_as_it_is) {
    std::vector<uint16_t> halves;
    for (unsigned bits = 0; bits < 0x10000; ++bits)
        halves.push_back(static_cast<uint16_t>(bits));
    for (size_t n : {halves.size(), size_t{1}, size_t{13}}) {
        std::vector<float> out(n + 1, untouched);
        kernels::variant().rows.from_f16(halves.data(), out.data(), static_cast<int64_t>(n));
        size_t wrong = out.back() != untouched;
        for (size_t i = 0; i < n; ++i) {
            const float right = ggml_fp16_to_fp32(halves[i]);
            wrong += std::isnan(right) ? !std::isnan(out[i]) : out[i] != right;
        }
        CHECK(wrong == 0);
    }
}

TEST(add_times_equals_the_scalar_reference) {
    Nmse error;
    for (int64_t n : widths()) {
        const std::vector<float> x = normal_values(n, 0, 3);
        std::vector<float> out = normal_values(n, 1);
        std::vector<double> want;
        for (size_t i = 0; i < x.size(); ++i)
            want.push_back(out[i] + double(x[i]) * 0.3f);
        out.push_back(untouched);
        kernels::variant().rows.add_times(x.data(), 0.3f, out.data(), n);
        CHECK(out.back() == untouched);
        error.add(out, want);
    }
    std::printf("add_times: NMSE %.2g\n", error.value());
    CHECK(error.value() < 4e-15); // measured 8.9e-16
}

// Very large and very small values end in x and in nothing.
TEST(gelu_is_right_at_its_ends) {
    float x[] = {1e4f, -1e4f, 100, -100, 0, -20, 20, 1e-20f};
    kernels::variant().rows.gelu(x, nullptr, x, 8);
    CHECK(x[0] == 1e4f && x[2] == 100 && x[6] == 20 && x[4] == 0);
    CHECK(std::fabs(x[1]) < 1e-30f && std::fabs(x[3]) < 1e-30f && std::fabs(x[5]) < 1e-30f);
    CHECK(x[7] == 0.5e-20f);
}

} // namespace

int main(int argc, char ** argv) { return run_kernel_tests(argc, argv); }
