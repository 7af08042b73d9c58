// The kernels that quantise against ggml's own code: the same values, on values of every kind.
#include "kernels/kernel_tests.h"
#include "kernels/variant.h"
#include "random.h"

#include "ggml.h"

#include <algorithm>

using namespace ltx2;

using kernels::Quantise;

namespace {

struct Type {
    ggml_type type;
    void (*Quantise::*kernel)(const float *, void *, int64_t);
};
const Type types[] = {{GGML_TYPE_F16, &Quantise::f16},
                      {GGML_TYPE_Q8_0, &Quantise::q8_0},
                      {GGML_TYPE_Q4_K, &Quantise::q4_k},
                      {GGML_TYPE_Q5_K, &Quantise::q5_k},
                      {GGML_TYPE_Q6_K, &Quantise::q6_k}};

// Super-blocks of normal values, of zeros, of one value, of few values, tiny, large, of one sign.
std::vector<float> values() {
    std::vector<float> all = normal_values(256 * 43);
    for (size_t i = 0; i < 256; ++i) {
        float * x = &all[i];
        x[256] = 0;
        x[512] = 1.5f;
        x[768] = -1.5f;
        x[1024] = i % 32 ? 0.0f : 1.0f;
        x[1280] = static_cast<float>(i % 7);
        x[1536] *= 1e-7f;
        x[1792] *= 1e4f;
        x[2048] = std::abs(x[2048]);
        x[2304] = -std::abs(x[2304]);
        x[2560] = i < 128 ? 0 : x[2560];
    }
    return all;
}

std::vector<float> decoded(ggml_type type, const std::vector<uint8_t> & bytes, int64_t n) {
    std::vector<float> values(static_cast<size_t>(n));
    ggml_get_type_traits(type)->to_float(bytes.data(), values.data(), n);
    return values;
}

double error_of(const std::vector<float> & values, const std::vector<float> & x) {
    double sum = 0;
    for (size_t i = 0; i < values.size(); ++i)
        sum += double(values[i] - x[i]) * double(values[i] - x[i]);
    return sum;
}

void check(const Type & t, const std::vector<float> & x, int64_t n) {
    std::vector<uint8_t> wanted(ggml_row_size(t.type, n)), got(wanted.size() + 1, 0xA5);
    ggml_quantize_chunk(t.type, x.data(), wanted.data(), 0, 1, n, nullptr);
    (kernels::variant().quantise.*t.kernel)(x.data(), got.data(), n);
    CHECK(got.back() == 0xA5); // one byte past the end
    const std::vector<float> theirs = decoded(t.type, wanted, n), ours = decoded(t.type, got, n);
#if defined(__x86_64__)
    CHECK(ours == theirs);
#endif
    CHECK(error_of(ours, x) <= 1.001 * error_of(theirs, x));
}

} // namespace

// Equal but on aarch64, where compilers fuse multiply-adds in ggml's code.
TEST(values_are_ggmls) {
    const std::vector<float> x = values();
    for (const Type & t : types)
        check(t, x, static_cast<int64_t>(x.size()));
}

// Whole blocks, but not of what the kernels take at once.
TEST(any_number_of_blocks_will_do) {
    const std::vector<float> x = values();
    for (const Type & t : types)
        for (int64_t n = 256; n <= 256 * 5; n += 256)
            check(t, x, n);
}

int main(int argc, char ** argv) { return run_kernel_tests(argc, argv); }
