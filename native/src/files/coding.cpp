// The scalar reference of every format; kernels/variants/gemm_coded.cpp does the same faster.
#include "files/coding.h"

#include "base/round.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace ltx2 {

// ---- numbers of 8 and 16 bits

// `exponent` and `mantissa` bits below the sign.
static float small_float(uint32_t bits, int exponent, int mantissa) {
    const int bias = (1 << (exponent - 1)) - 1;
    const uint32_t low = bits & ((1u << mantissa) - 1);
    const int high = static_cast<int>(bits >> mantissa) & ((1 << exponent) - 1);
    const float one = high ? 1.0f : 0.0f;
    const float fraction = one + std::ldexp(static_cast<float>(low), -mantissa);
    const float size = std::ldexp(fraction, std::max(high, 1) - bias);
    return bits >> (exponent + mantissa) & 1 ? -size : size;
}

static float e4m3(uint8_t bits) { // has no infinity
    return (bits & 0x7f) == 0x7f ? NAN : small_float(bits, 4, 3);
}
static float f16(uint16_t bits) {
    if ((bits & 0x7c00) == 0x7c00)
        return bits & 0x3ff ? NAN : bits & 0x8000 ? -INFINITY : INFINITY;
    return small_float(bits, 5, 10);
}
static float e5m2(uint8_t bits) { return f16(static_cast<uint16_t>(bits << 8)); }
static float e2m1(uint8_t bits) { return small_float(bits, 2, 1); }
static float e8m0(uint8_t bits) { // zero is the format's own rule
    return bits == 0 ? 0.0f : bits == 255 ? NAN : std::ldexp(1.0f, bits - 127);
}

template <class T>
static T read_at(const uint8_t * data, int64_t i) {
    T value;
    std::memcpy(&value, data + i * static_cast<int64_t>(sizeof value), sizeof value);
    return value;
}

static float bf16(uint16_t half) {
    const uint32_t bits = static_cast<uint32_t>(half) << 16;
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

float Numbers::operator[](int64_t i) const {
    switch (type) {
    case Type::f32:
        return read_at<float>(data, i);
    case Type::f16:
        return f16(read_at<uint16_t>(data, i));
    case Type::bf16:
        return bf16(read_at<uint16_t>(data, i));
    case Type::e4m3:
        return e4m3(data[i]);
    case Type::e8m0:
        return e8m0(data[i]);
    }
    return NAN;
}

// ---- a matrix

int64_t Coding::columns() const { return shape.empty() ? 1 : shape.back(); }
int64_t Coding::rows() const {
    int64_t rows = 1;
    for (size_t i = 0; i + 1 < shape.size(); ++i)
        rows *= shape[i];
    return rows;
}

bool Coding::is_whole() const {
    const bool of_8_bits = format == Format::int8 || format == Format::int4 ||
                           format == Format::w4a8 || format == Format::w6a8;
    return of_8_bits && !correction.data;
}
bool Coding::fits_bf16() const { return !correction.data; }

float Coding::row_scale(int64_t row) const {
    return scale.data && !correction.data ? scale[scale_of_row ? row : 0] : 1.0f;
}

// Tiles of 128 rows and 4 groups, as cuBLAS reads them.
static int64_t swizzled(int64_t row, int64_t group, int64_t groups) {
    const int64_t tile = row / 128 * divide_up(groups, 4) + group / 4;
    return tile * 512 + row % 32 * 16 + row % 128 / 32 * 4 + group % 4;
}

void Coding::group_scales(int64_t row, int64_t first, int64_t count, float * out) const {
    const int64_t groups = divide_up(columns(), group);
    const bool in_tiles = format == Format::nvfp4 || format == Format::mxfp8;
    for (int64_t g = first; g < first + count; ++g)
        *out++ = group_scale[in_tiles ? swizzled(row, g, groups) : row * groups + g];
}

float Coding::code(const uint8_t * row, int64_t column) const {
    const auto nibble = [&](bool high) {
        return static_cast<uint8_t>(high ? row[column / 2] >> 4 : row[column / 2] & 15);
    };
    const bool odd = column % 2;
    switch (format) {
    case Format::e4m3:
    case Format::mxfp8:
        return e4m3(row[column]);
    case Format::e5m2:
        return e5m2(row[column]);
    case Format::int8:
        return static_cast<float>(static_cast<int8_t>(row[column]));
    case Format::int4:
        return static_cast<float>((nibble(odd) ^ 8) - 8);
    case Format::w4a8:
        return levels[nibble(odd)];
    case Format::w6a8: {
        const int high = row[columns() / 2 + column / 4] >> (column % 4 * 2) & 3;
        return static_cast<float>((nibble(odd) | high << 4) - 32);
    }
    case Format::nvfp4:
        return e2m1(nibble(!odd));
    }
    return NAN;
}

void Coding::unscaled(int64_t row, int64_t first, int64_t count, float * out) const {
    const uint8_t * codes_of_row = codes + row * row_bytes;
    const bool rounds = format == Format::w4a8 || format == Format::w6a8;
    float factor = 1;
    for (int64_t i = first; i < first + count; ++i) {
        if (group_scale.data && (i == first || i % group == 0))
            group_scales(row, i / group, 1, &factor);
        float value = code(codes_of_row, i);
        if (group_scale.data)
            value *= factor;
        if (rounds && std::isfinite(value)) // a part of the format
            value = std::clamp(std::nearbyint(value), -127.0f, 127.0f);
        if (correction.data)
            value = value * scale[row] + correction[i / group * rows() + row];
        *out++ = value;
    }
}

void Coding::decode(int64_t first, int64_t count, float * out) const {
    const int64_t width = columns(), whole = std::max<int64_t>(rotated_group, 1);
    std::vector<float> values;
    while (count > 0) { // a row, from the beginning of a rotated group to the end of one
        const int64_t row = first / width, column = first % width, before = column % whole;
        const int64_t some = std::min(count, width - column);
        values.resize(static_cast<size_t>(round_up(before + some, whole)));
        const int64_t size = static_cast<int64_t>(values.size());
        unscaled(row, column - before, size, values.data());
        for (float & value : values)
            value *= row_scale(row);
        if (rotated_group)
            rotate(values.data(), size, rotated_group);
        out = std::copy_n(values.data() + before, some, out);
        first += some;
        count -= some;
    }
}

// The matrix is a power of H4's Kronecker product: one pass for each factor, y_i = (the sum of the
// four x)/2 - x_(3-i).
void rotate(float * x, int64_t count, int64_t group) {
    for (int64_t stride = 1; stride < group; stride *= 4)
        for (int64_t first = 0; first < count; first += 4 * stride)
            for (int64_t i = first; i < first + stride; ++i) {
                const float a = x[i], b = x[i + stride], c = x[i + 2 * stride],
                            d = x[i + 3 * stride];
                const float half = ((a + b) + (c + d)) * 0.5f;
                x[i] = half - d;
                x[i + stride] = half - c;
                x[i + 2 * stride] = half - b;
                x[i + 3 * stride] = half - a;
            }
}

} // namespace ltx2
