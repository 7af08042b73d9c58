#include "kernels/gemm_choice.h"

#include "kernels/variant.h"

namespace ltx2::kernels {

Decoder decoder_of(const Matrix & weight) {
    const Gemm & kernels = variant().gemm;
    if (!weight.coding)
        return kernels.decoder(weight.tensor->type);
    const Format format = weight.coding->format;
    return {nullptr, weight.coding->is_whole() ? kernels.coded_bits(format) : 0,
            kernels.coded_minimum(format) != 0};
}

UnpackFn unpacker_of(const Matrix & weight, Arithmetic a) {
    const Coding * coding = weight.coding;
    const bool rows_alone = coding && coding->format == Format::int8 && !coding->group_scale.data;
    if (coding && !rows_alone)
        return nullptr;
    return variant().gemm.unpacker(a, coding ? GGML_TYPE_I8 : weight.tensor->type);
}

// Whether a rotation has spread what is large among many values, which may then share a scale.
static bool is_spread(const Matrix & weight) {
    return weight.coding && weight.coding->rotated_group >= run_blocks * 32;
}

Arithmetic choose_arithmetic(const Matrix & weight, int64_t rows, Activations activations) {
    const Gemm & kernels = variant().gemm;
    const bool bf16 = kernels.most_rows[static_cast<int>(Arithmetic::bf16)] &&
                      (!weight.coding || weight.coding->fits_bf16());
    if (activations == Activations::f32 || weight.is_f32() || rows < few_rows)
        return Arithmetic::f32;
    const bool bits8 = activations == Activations::bits8, blocks = weight.k() % 32 == 0;
    const Arithmetic pairs = bits8 ? Arithmetic::bf16 : Arithmetic::bf16_split;
    const Decoder decoder = decoder_of(weight);
    if (bits8 && blocks && is_spread(weight) && decoder.bits &&
        kernels.multiplies(Arithmetic::int8_run, decoder.bits))
        return Arithmetic::int8_run;
    if (kernels.multiplies(pairs, 0))
        return pairs;
    if (bits8 && blocks && !weight.coding &&
        kernels.unpacker(Arithmetic::int4, weight.tensor->type))
        return Arithmetic::int4;
    const Arithmetic whole = bits8 ? Arithmetic::int8 : Arithmetic::int16;
    const bool rounded = bits8 && !weight.coding && ggml_is_quantized(weight.tensor->type);
    const bool fits = weight.coding ? decoder.bits > 0 : decoder.decode || rounded;
    if (blocks && fits && kernels.multiplies(whole, decoder.bits))
        return whole;
    if (bits8 && bf16)
        return Arithmetic::bf16;
    return blocks && kernels.multiplies(Arithmetic::int16_both, 16) ? Arithmetic::int16_both
                                                                    : Arithmetic::f32;
}

} // namespace ltx2::kernels
