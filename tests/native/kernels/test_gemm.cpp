// Matrix products against their scalar reference, a sum in double over the weights as ggml unpacks
// them, on random ragged shapes; and against themselves: the same bits for any number of threads.
#include "kernels/gemm_tests.h"
#include "kernels/kernel_tests.h"
#include "kernels/variant.h"

#include <algorithm>
#include <cmath>
#include <utility>

#if defined(_WIN32)
#include <windows.h>
#else
#include <sys/mman.h>
#endif

using namespace ltx2;

namespace {

struct Case {
    ggml_type type;
    int64_t k, n, rows;
    Activations activations;
    bool bias;
    bool gelu = false;
};

// Memory that ends at an unreadable page, as a mapped file may.
class Mapped {
public:
    explicit Mapped(size_t size) : whole_((size + page - 1) / page * page + page), size_(size) {
#if defined(_WIN32)
        DWORD before;
        memory_ = static_cast<uint8_t *>(
            VirtualAlloc(nullptr, whole_, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE));
        VirtualProtect(memory_ + whole_ - page, page, PAGE_NOACCESS, &before);
#else
        memory_ = static_cast<uint8_t *>(
            mmap(nullptr, whole_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        mprotect(memory_ + whole_ - page, page, PROT_NONE);
#endif
    }
#if defined(_WIN32)
    ~Mapped() { VirtualFree(memory_, 0, MEM_RELEASE); }
#else
    ~Mapped() { munmap(memory_, whole_); }
#endif
    Mapped(const Mapped &) = delete;
    Mapped & operator=(const Mapped &) = delete;
    void * data() const { return memory_ + whole_ - page - size_; }

private:
    static constexpr size_t page = 65536; // of any system
    size_t whole_, size_;
    uint8_t * memory_;
};

struct Tensors {
    // Room for the largest; what a case does not touch costs nothing.
    std::unique_ptr<ggml_context, decltype(&ggml_free)> context{
        ggml_init({size_t{96} << 20, nullptr, false}), ggml_free};
    Case c;
    ggml_tensor *weight, *x, *bias = nullptr;
    std::unique_ptr<Mapped> mapped; // holds the weights
    std::vector<float> plain;       // the weights as F32

    ggml_tensor * tensor(int64_t width, int64_t rows) {
        ggml_tensor * t = ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, width, rows);
        std::memcpy(t->data, normal_values(width * rows).data(), ggml_nbytes(t));
        return t;
    }
    // Types that ggml takes half a minute to quantise to. Any bits are values of theirs; a block's
    // scale is an F16, here from 2^-7 to 2^-3, whose upper half is byte 1, or in 55 for IQ1_M.
    static bool is_i_quant(ggml_type type) {
        const std::string name = ggml_type_name(type);
        return name.compare(0, 2, "iq") == 0 && name.compare(0, 3, "iq4") != 0;
    }
    void fill_i_quant() {
        const size_t size = ggml_type_size(c.type), bytes = ggml_nbytes(weight);
        uint8_t * data = static_cast<uint8_t *>(weight->data);
        for (size_t i = 0; i < bytes; ++i)
            data[i] = static_cast<uint8_t>(any(0, 255));
        for (uint8_t * block = data; block < data + bytes; block += size) {
            uint8_t & top = block[c.type == GGML_TYPE_IQ1_M ? 55 : 1];
            top = static_cast<uint8_t>((top & 15) | 0x20);
        }
    }
    explicit Tensors(const Case & c) : c(c) {
        weight = ggml_new_tensor_2d(context.get(), c.type, c.k, c.n);
        mapped = std::make_unique<Mapped>(ggml_nbytes(weight));
        weight->data = mapped->data();
        const std::vector<float> values = normal_values(c.k * c.n);
        if (is_i_quant(c.type))
            fill_i_quant();
        else
            ggml_quantize_chunk(c.type, values.data(), weight->data, 0, c.n, c.k, nullptr);
        plain.resize(values.size());
        if (c.type == GGML_TYPE_F32)
            plain = values;
        else
            ggml_get_type_traits(c.type)->to_float(weight->data, plain.data(), c.k * c.n);
        x = tensor(c.k, c.rows);
        if (c.bias)
            bias = tensor(c.n, 1);
    }
    MatmulCall call() const { return {weight, x, bias, c.gelu, c.activations}; }
    std::vector<float> run(int threads, int64_t rows) {
        MatmulCall some = call();
        some.x = ggml_view_2d(context.get(), x, c.k, rows, x->nb[1], 0);
        return run_product(context.get(), some, threads);
    }
    double error(const std::vector<float> & out) const { return product_error(call(), plain, out); }
};

// NMSE of random shapes.
struct Errors {
    double worst = 0, mean = 0;
};
Errors errors(ggml_type type, Activations activations, int shapes = 8) {
    const int64_t block = ggml_blck_size(type);
    Errors e;
    for (int i = 0; i < shapes; ++i) {
        // Some arithmetics want whole blocks of 32 values.
        const int64_t some = block == 1 && i % 2 ? 32 : block, most = some == 1 ? 700 : 1536 / some;
        const int64_t k = some * any(1, static_cast<int>(most));
        Tensors t({type, k, any(1, 80), any(1, 40), activations, i % 2 == 0, i % 3 == 0});
        const double error = t.error(t.run(any(1, 3), t.c.rows));
        e.worst = std::max(e.worst, error);
        e.mean += error / shapes;
    }
    const char * names[] = {"F32", "16 bits", "8 bits"};
    std::printf("gemm %s, activations of %s: NMSE %.2g, at worst %.2g\n", ggml_type_name(type),
                names[static_cast<int>(activations)], e.mean, e.worst);
    return e;
}

TEST(equals_the_scalar_reference) {
    const ggml_type types[] = {GGML_TYPE_F32,  GGML_TYPE_F16,  GGML_TYPE_BF16,   GGML_TYPE_Q8_0,
                               GGML_TYPE_Q5_1, GGML_TYPE_Q5_0, GGML_TYPE_Q4_1,   GGML_TYPE_Q4_0,
                               GGML_TYPE_Q4_K, GGML_TYPE_Q5_K, GGML_TYPE_IQ4_NL, GGML_TYPE_IQ4_XS,
                               GGML_TYPE_MXFP4};
    for (ggml_type type : types) {
        const bool in_16_bits =
            (type == GGML_TYPE_F16 || type == GGML_TYPE_BF16) && weights_in_16_bits();
        CHECK(errors(type, Activations::f32).worst < 2e-12); // measured 7e-13
        // Measured 6e-10, and 8e-9 where weights become 16 bits too.
        CHECK(errors(type, Activations::bits16).worst < (in_16_bits ? 2e-8 : 2e-9));
        // Means measured: 2.7e-5 with 8-bit activations, 6e-5 where weights of 4 bits become
        // 8 bits, 6e-6 with BF16. The least shapes have few values, and with them any error.
        const Errors bits8 = errors(type, Activations::bits8);
        CHECK(bits8.mean < (type == GGML_TYPE_F32 ? 2e-12 : 1e-4));
        CHECK(bits8.worst < (type == GGML_TYPE_F32 ? 2e-12 : 3e-4));
    }
}

// Types without a decoder of ours are rounded to 8 bits beside activations of 8, and else exact.
TEST(every_type_of_ggml_is_multiplied) {
    const bool in_sums_of_bf16 =
        kernels::variant().gemm.multiplies(kernels::Arithmetic::bf16_split, 0);
    for (ggml_type type :
         {GGML_TYPE_Q2_K, GGML_TYPE_Q3_K, GGML_TYPE_Q6_K, GGML_TYPE_IQ1_S, GGML_TYPE_IQ1_M,
          GGML_TYPE_IQ2_XXS, GGML_TYPE_IQ2_XS, GGML_TYPE_IQ2_S, GGML_TYPE_IQ3_XXS, GGML_TYPE_IQ3_S,
          GGML_TYPE_TQ1_0, GGML_TYPE_TQ2_0, GGML_TYPE_NVFP4, GGML_TYPE_Q1_0, GGML_TYPE_Q2_0}) {
        const auto error = [&](Activations activations) { // few values: quantising takes long
            Tensors t({type, 1024, 35, 17, activations, true});
            return t.error(t.run(2, 17));
        };
        const double exact = error(Activations::bits16);
        const double rounded = error(Activations::bits8);
        std::printf("gemm %s: NMSE %.2g, with activations of 8 bits %.2g\n", ggml_type_name(type),
                    exact, rounded);
        // Measured 5e-13 in F32, 2.3e-11 as sums of BF16, 8e-9 in 16 bits.
        CHECK(exact < (in_sums_of_bf16 ? 5e-11 : weights_in_16_bits() ? 2e-8 : 2e-12));
        CHECK(rounded < 1.5e-4); // measured 8e-5
    }
}

// Weights that BF16 holds leave nothing for the second parts of sums of two, and their product is
// left out: the same bits as BF16 itself, and one value that it does not hold counts wherever it
// is.
TEST(what_bf16_leaves_counts_wherever_it_is) {
    const int64_t k = 601, n = 70, rows = 21;
    Tensors bf16({GGML_TYPE_BF16, k, n, rows, Activations::bits16, true});
    Tensors f16({GGML_TYPE_F16, k, n, rows, Activations::bits16, true});
    std::memcpy(f16.x->data, bf16.x->data, ggml_nbytes(f16.x));
    std::memcpy(f16.bias->data, bf16.bias->data, ggml_nbytes(f16.bias));
    auto * half = static_cast<ggml_fp16_t *>(f16.weight->data);
    for (float & value : bf16.plain) // in steps that both types hold
        value = std::round(std::max(-7.0f, std::min(7.0f, value)) * 16) / 16;
    ggml_fp32_to_bf16_row(bf16.plain.data(), static_cast<ggml_bf16_t *>(bf16.weight->data), k * n);
    ggml_fp32_to_fp16_row(bf16.plain.data(), half, k * n);
    f16.plain = bf16.plain;
    const std::vector<float> exact = bf16.run(1, rows);
    CHECK(f16.run(2, rows) == exact);
    for (const size_t at :
         {size_t{0}, static_cast<size_t>(k - 1), static_cast<size_t>(k * n - 1)}) {
        const float more = 1 + 1.0f / 512; // F16 holds it, BF16 does not
        f16.plain[at] = more;
        half[at] = ggml_fp32_to_fp16(more);
        CHECK(f16.error(f16.run(2, rows)) < 2e-11); // measured 6e-12; without it 1e-10
    }
}

// One row of activations has the bits that it has among a few, however its weights are read.
TEST(one_row_has_the_bits_of_several) {
    for (ggml_type type : {GGML_TYPE_F16, GGML_TYPE_Q8_0, GGML_TYPE_Q5_1, GGML_TYPE_Q5_0,
                           GGML_TYPE_Q4_1, GGML_TYPE_Q4_0, GGML_TYPE_Q4_K, GGML_TYPE_Q6_K})
        for (int i = 0; i < 8; ++i) {
            const int64_t block = ggml_blck_size(type);
            Tensors t({type, (block == 1 ? 1 : block) * any(1, 80), any(1, 70), 3,
                       Activations::bits16, true});
            const std::vector<float> some = t.run(2, 3), one = t.run(any(1, 3), 1);
            CHECK(std::equal(one.begin(), one.end(), some.begin()));
        }
}

// With the activations of a transformer block: after its norms, and after GELU, where blocks of
// values are more uneven and their mean is not zero.
double rounding_error(std::initializer_list<ggml_type> types) {
    double most = 0;
    for (ggml_type type : types)
        for (bool after_gelu : {false, true}) {
            Tensors t({type, 8192, 48, 16, Activations::bits8, false});
            float * x = static_cast<float *>(t.x->data);
            for (int64_t i = 0; after_gelu && i < 8192 * 16; ++i)
                x[i] = static_cast<float>(gelu_plain(x[i]));
            most = std::max(most, t.error(t.run(1, 16)));
        }
    std::printf("gemm, 8192 normal values or their GELU: worst NMSE %.2g\n", most);
    return most;
}

TEST(rounding_activations_stays_within_its_limit) {
    const double most =
        rounding_error({GGML_TYPE_Q8_0, GGML_TYPE_Q5_1, GGML_TYPE_Q4_0, GGML_TYPE_Q4_K,
                        GGML_TYPE_Q5_K, GGML_TYPE_IQ4_XS, GGML_TYPE_F16, GGML_TYPE_BF16});
    CHECK(most < 1e-4); // measured 7.9e-5 where 4 bits become 8, else 5.9e-5
    // Weights that are rounded to 8 bits too.
    CHECK(rounding_error({GGML_TYPE_Q6_K, GGML_TYPE_Q3_K}) < 1.5e-4); // measured 1e-4
}

// Blocks of values so small that their scale has no inverse count as zero.
TEST(tiny_activations_are_no_error) {
    for (float tiny : {1e-29f, 1e-37f, 1e-42f})
        for (ggml_type type : {GGML_TYPE_Q8_0, GGML_TYPE_F16})
            for (Activations activations : {Activations::bits16, Activations::bits8}) {
                Tensors t({type, 256, 32, 16, activations, false});
                std::fill_n(static_cast<float *>(t.x->data), 256 * 16, tiny);
                for (float v : t.run(1, 16))
                    CHECK(std::fabs(v) < 1e-26f);
            }
}

// Where the squares of values are below or beyond the numbers of F32, or one value is nearly all.
TEST(scales_of_16_bits_fit_any_values) {
    for (ggml_type type : {GGML_TYPE_F16, GGML_TYPE_BF16})
        for (float size : {1e-25f, 1e-18f, 1.0f, 1e15f, 1e25f, 1e33f}) {
            Tensors t({type, 416, 32, 16, Activations::bits16, false});
            float * x = static_cast<float *>(t.x->data);
            for (int64_t i = 0; i < 416 * 16; ++i)
                x[i] *= i % 416 == 77 ? 1000 * size : size;
            const double error = t.error(t.run(1, 16));
            std::printf("gemm %s, values about %g: NMSE %.2g\n", ggml_type_name(type),
                        static_cast<double>(size), error);
            // Measured 1.7e-8, and 7e-7 where scales are those of the largest value alone.
            CHECK(error < (size == 1 || size == 1e15f ? 5e-8 : 2e-6));
        }
}

// However values are rounded: a maximum that skips NaN, or a cast, would make a number of it.
TEST(what_is_not_finite_stays_so) {
    const auto finite = [](float v) { return std::isfinite(v); };
    for (ggml_type type : {GGML_TYPE_F16, GGML_TYPE_BF16, GGML_TYPE_Q8_0, GGML_TYPE_Q5_1,
                           GGML_TYPE_Q4_0, GGML_TYPE_Q5_0, GGML_TYPE_IQ4_NL, GGML_TYPE_IQ3_S})
        for (Activations activations : {Activations::f32, Activations::bits16, Activations::bits8})
            for (float wrong : {std::nanf("0x3fffff"), -INFINITY}) {
                Tensors t({type, 256, 40, 16, activations, false});
                float & value = static_cast<float *>(t.x->data)[5 * 256 + any(0, 255)];
                const float right = std::exchange(value, wrong);
                std::vector<float> out = t.run(1, 16);
                CHECK(std::none_of(out.begin() + 5 * 40, out.begin() + 6 * 40, finite));
                value = right;
                // A value of output 7, or the scale of a block.
                const size_t row = ggml_row_size(type, 256), block = ggml_type_size(type);
                uint8_t * at = static_cast<uint8_t *>(t.weight->data) + 7 * row;
                at += static_cast<size_t>(any(0, 256 / ggml_blck_size(type) - 1)) * block;
                const bool nan = std::isnan(wrong), brain = type == GGML_TYPE_BF16;
                const uint16_t bits = nan ? 0xffff : brain ? 0xff80 : 0xfc00;
                std::memcpy(at, &bits, sizeof bits);
                out = t.run(1, 16);
                int lost = 0;
                for (size_t r = 0; r < 16; ++r)
                    lost += finite(out[r * 40 + 7]);
                CHECK(lost == 0);
            }
}

// Sums of integers are largest where all values of a block are as large as they may be, with one
// sign; types with a minimum have one opposite value. An overflow is an error of 0.1 and more.
TEST(largest_sums_do_not_overflow) {
    double most = 0;
    for (ggml_type type : {GGML_TYPE_F16, GGML_TYPE_BF16, GGML_TYPE_Q8_0, GGML_TYPE_Q5_1,
                           GGML_TYPE_Q4_0, GGML_TYPE_Q4_K, GGML_TYPE_Q5_K, GGML_TYPE_Q4_1,
                           GGML_TYPE_Q5_0, GGML_TYPE_IQ4_NL, GGML_TYPE_Q6_K})
        for (Activations activations : {Activations::bits16, Activations::bits8}) {
            Tensors t({type, 512, 32, 16, activations, false});
            std::vector<float> values(512 * 32);
            for (size_t i = 0; i < values.size(); ++i) {
                const bool halves = type == GGML_TYPE_F16 || type == GGML_TYPE_BF16;
                const bool opposite = type != GGML_TYPE_Q8_0 && !halves && i % 32 == 0;
                values[i] = (opposite                 ? -1.0f
                             : type == GGML_TYPE_Q4_0 ? 0.875f
                                                      : 1.0f) *
                            (i / 512 % 2 ? 1.0f : -1.0f);
            }
            ggml_quantize_chunk(type, values.data(), t.weight->data, 0, 32, 512, nullptr);
            ggml_get_type_traits(type)->to_float(t.weight->data, t.plain.data(), 512 * 32);
            float * x = static_cast<float *>(t.x->data);
            for (int64_t i = 0; i < 512 * 16; ++i)
                x[i] = i / 512 % 2 ? 1.0f : -1.0f;
            most = std::max(most, t.error(t.run(1, 16)));
        }
    std::printf("gemm, largest sums: worst NMSE %.2g\n", most);
    CHECK(most < 1e-4); // measured 1.4e-6 where 4 bits become 8, else 1.5e-11
}

// More rows than one block, more outputs than one piece, k in several parts.
TEST(threads_and_rows_change_no_bit) {
    for (ggml_type type : {GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_Q8_0, GGML_TYPE_Q4_K}) {
        Tensors t({type, 2304, 300, 521, Activations::bits8, true});
        const std::vector<float> all = t.run(1, 521);
        CHECK(t.run(3, 521) == all);
        CHECK(t.run(3, 5) == t.run(1, 5)); // another algorithm, for few rows
        const std::vector<float> some = t.run(2, 100);
        CHECK(std::equal(some.begin(), some.end(), all.begin()));
    }
}

} // namespace

int main(int argc, char ** argv) { return run_kernel_tests(argc, argv); }
