// Matrix products with weights in ComfyUI's formats, against a sum in double over the weights as
// files/coding.cpp decodes them.
#include "coded.h"
#include "kernels/gemm_tests.h"
#include "kernels/kernel_tests.h"
#include "kernels/variant.h"

#include <algorithm>

using namespace ltx2;

namespace {

struct Case {
    CodedKind kind;
    int64_t k, n, rows;
    Activations activations;
    bool bias = true;
    int64_t group = 16, rotated_group = 64;
};

struct Product {
    std::unique_ptr<ggml_context, decltype(&ggml_free)> context{
        ggml_init({size_t{48} << 20, nullptr, false}), ggml_free};
    Case c;
    CodedMatrix matrix;
    ggml_tensor *weight, *x, *bias = nullptr;

    explicit Product(const Case & c) : c(c), matrix(c.kind, c.k, c.n, c.group, c.rotated_group) {
        ggml_set_no_alloc(context.get(), true);
        weight = ggml_new_tensor_2d(context.get(), GGML_TYPE_I8, matrix.coding.row_bytes, c.n);
        ggml_set_no_alloc(context.get(), false);
        weight->data = matrix.codes.data();
        x = tensor(c.k, c.rows);
        if (c.bias)
            bias = tensor(c.n, 1);
    }
    ggml_tensor * tensor(int64_t width, int64_t rows) {
        ggml_tensor * t = ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, width, rows);
        std::memcpy(t->data, normal_values(width * rows).data(), ggml_nbytes(t));
        return t;
    }
    MatmulCall call() const {
        return {Matrix(weight, &matrix.coding), x, bias, false, c.activations};
    }
    std::vector<float> run(int threads) { return run_product(context.get(), call(), threads); }
    double error(const std::vector<float> & out) const {
        return product_error(call(), matrix.decoded(), out);
    }
};

// Columns that are no multiple of 256 or, without rotation, of anything; outputs that fill no
// panel; few rows and many; parts of k, whose groups go on in the next.
std::vector<Case> shapes(const CodedKind & kind, Activations activations) {
    std::vector<Case> all = {{kind, 64, 1, 9, activations},
                             {kind, 192, 45, 17, activations},
                             {kind, 1216, 33, 5, activations, false},
                             {kind, 2304, 61, 23, activations, true, 16, 256},
                             {kind, 768, 40, 9, activations, true, 16, 256}};
    const bool groups = kind.format == Format::w4a8 || kind.format == Format::w6a8;
    if (groups)
        all.push_back({kind, 1024, 35, 11, activations, true, 512, 1024});
    if (kind.format == Format::w4a8)
        all.push_back({kind, 320, 35, 11, activations, true, 4, 4});
    if (!groups && !kind.rotated)
        all.push_back({kind, 333 + any(0, 1) * 16, 31, 13, activations});
    return all;
}

TEST(equals_the_decoded_product) {
    const char * names[] = {"F32", "16 bits", "8 bits"};
    for (const CodedKind & kind : coded_kinds)
        for (Activations activations :
             {Activations::f32, Activations::bits16, Activations::bits8}) {
            double worst = 0;
            for (const Case & c : shapes(kind, activations)) {
                Product product(c);
                worst = std::max(worst, product.error(product.run(any(1, 3))));
            }
            std::printf("gemm %s, activations of %s: worst NMSE %.2g\n", kind.name,
                        names[static_cast<int>(activations)], worst);
            // Measured 7.9e-13, 9.4e-10, or 2e-8 where weights become 16 bits, and 8.2e-5, the
            // latter two on the least shapes; where BF16 is multiplied, 8 bits are 7e-6.
            const double limit[] = {4e-12, weights_in_16_bits() ? 6e-8 : 4e-9, 3e-4};
            CHECK(worst < limit[static_cast<int>(activations)]);
        }
}

TEST(threads_change_no_bit) {
    for (const CodedKind & kind : coded_kinds)
        for (int64_t rotated : {64, 256}) {
            Product product({kind, 1024, 300, 121, Activations::bits8, true, 16, rotated});
            CHECK(product.run(1) == product.run(3));
        }
}

// A scale, of a row or a group: its outputs, and no others, are not finite.
TEST(what_is_not_finite_stays_so) {
    for (const CodedKind & kind : coded_kinds)
        for (Activations activations : {Activations::f32, Activations::bits16, Activations::bits8})
            for (const auto & [rows, rotated] :
                 {std::pair{3, 64}, std::pair{12, 64}, std::pair{12, 256}}) {
                Product product({kind, 256, 40, rows, activations, true, 16, rotated});
                const int64_t wrong = kind.scale_of_row ? 7 : -1; // or all
                const auto damage = [&](std::vector<uint8_t> & bytes, size_t at) {
                    const float nan = std::nanf("");
                    std::memcpy(bytes.data() + at, &nan, sizeof nan);
                    const std::vector<float> out = product.run(2);
                    for (int64_t i = 0; i < rows * 40; ++i)
                        CHECK(std::isfinite(out[static_cast<size_t>(i)]) ==
                              (wrong >= 0 && i % 40 != wrong));
                };
                CodedMatrix & m = product.matrix;
                if (kind.format == Format::w4a8 || kind.format == Format::w6a8) {
                    m.group_scale[7 * 16 + 3] = 0x7f;
                    const std::vector<float> out = product.run(2);
                    for (int64_t i = 0; i < rows * 40; ++i)
                        CHECK(std::isfinite(out[static_cast<size_t>(i)]) == (i % 40 != 7));
                    m.group_scale[7 * 16 + 3] = 0x40;
                }
                damage(m.scale, 1 + static_cast<size_t>(std::max<int64_t>(wrong, 0)) * 4);
            }
}

// As large as a run's sums get, with one sign: an overflow is an error of 0.1 and more.
TEST(largest_sums_do_not_overflow) {
    double most = 0;
    for (const CodedKind & kind : coded_kinds)
        if (kind.format == Format::int8) {
            Product product({kind, 1024, 40, 12, Activations::bits8, false, 16, 256});
            std::fill(product.matrix.codes.begin(), product.matrix.codes.end(), uint8_t{0x80});
            float * x = static_cast<float *>(product.x->data);
            for (int64_t i = 0; i < 1024 * 12; ++i)
                x[i] = i / 1024 % 2 ? 1.0f : -1.0f;
            if (kind.rotated) // so that they are so after the rotation
                for (int64_t r = 0; r < 12; ++r)
                    rotate(x + r * 1024, 1024, 256);
            most = std::max(most, product.error(product.run(2)));
        }
    std::printf("gemm, largest sums of codes: worst NMSE %.2g\n", most);
    CHECK(most < 1e-4);
}

TEST(a_fast_rotation_equals_the_plain_one) {
    for (int64_t group : {4, 16, 64, 256, 1024}) {
        const std::vector<float> x = normal_values(4 * group + 1024 % group);
        std::vector<float> want = x, have(x.size());
        rotate(want.data(), static_cast<int64_t>(want.size()), group);
        kernels::variant().rows.rotate(x.data(), have.data(), static_cast<int64_t>(x.size()),
                                       group);
        CHECK(nmse(have, want) < 1e-13); // measured 6e-15
    }
}

} // namespace

int main(int argc, char ** argv) { return run_kernel_tests(argc, argv); }
