// Matrices in ComfyUI's formats, of random codes and scales.
#pragma once

#include "base/round.h"
#include "files/coding.h"
#include "random.h"

#include <cmath>
#include <cstring>
#include <memory>
#include <string>

struct CodedKind {
    const char * name;
    ltx2::Format format;
    bool scale_of_row, rotated, corrected;
};

inline const CodedKind coded_kinds[] = {
    {"e4m3", ltx2::Format::e4m3, false, false, false},
    {"e4m3 by row", ltx2::Format::e4m3, true, false, false},
    {"e5m2", ltx2::Format::e5m2, false, false, false},
    {"int8", ltx2::Format::int8, true, false, false},
    {"int8, one scale", ltx2::Format::int8, false, false, false},
    {"int8 rotated", ltx2::Format::int8, true, true, false},
    {"w4a4", ltx2::Format::int4, true, true, false},
    {"w4a8", ltx2::Format::w4a8, true, true, false},
    {"w4a8 corrected", ltx2::Format::w4a8, true, true, true},
    {"w6a8", ltx2::Format::w6a8, true, true, false},
    {"nvfp4", ltx2::Format::nvfp4, false, false, false},
    {"mxfp8", ltx2::Format::mxfp8, false, false, false}};

// Its arrays are of the exact size, so that a sanitizer sees a read past an end, and begin at any
// address.
struct CodedMatrix {
    std::vector<uint8_t> codes, scale, group_scale, correction;
    ltx2::Coding coding{};

    using Type = ltx2::Numbers::Type;

    // k must be a multiple of `group` where there are groups, of `rotated_group` where it rotates.
    CodedMatrix(const CodedKind & kind, int64_t k, int64_t n, int64_t group = 16,
                int64_t rotated_group = 64) {
        using ltx2::Format;
        const Format f = kind.format;
        const bool blocks = f == Format::nvfp4 || f == Format::mxfp8;
        coding.name = kind.name;
        coding.format = f;
        coding.shape = {n, k};
        coding.row_bytes = f == Format::int4 || f == Format::w4a8 ? k / 2
                           : f == Format::nvfp4                   ? ltx2::divide_up(k, 16) * 8
                           : f == Format::w6a8                    ? k / 2 + k / 4
                                                                  : k;
        codes.resize(static_cast<size_t>(n * coding.row_bytes));
        for (uint8_t & code : codes) {
            code = static_cast<uint8_t>(random_bits());
            if (f == Format::e4m3 || f == Format::mxfp8) // not NaN
                code = (code & 0x7f) == 0x7f ? 0 : code;
            if (f == Format::e5m2) // of moderate size, else a few values are all of the sum
                code = static_cast<uint8_t>((code & 0x8f) | 0x30);
        }
        coding.scale_of_row = kind.scale_of_row;
        coding.scale = f32s(scale, kind.scale_of_row ? n : 1, 0.5f, 2.0f);
        coding.rotated_group = kind.rotated ? rotated_group : 0;
        if (f == Format::w4a8 || f == Format::w6a8) {
            coding.group = group;
            bytes(group_scale, n * (k / group), 0x48, 0x67); // 4 to 60
            for (int i = 0; i < 16; ++i)
                coding.levels[i] = static_cast<float>(i - 8) / 8;
        } else if (blocks) {
            coding.group = f == Format::nvfp4 ? 16 : 32;
            const int64_t columns = ltx2::divide_up(k, coding.group);
            const int64_t count = ltx2::round_up(n, 128) * ltx2::round_up(columns, 4);
            bytes(group_scale, count, f == Format::nvfp4 ? 0x28 : 120,
                  f == Format::nvfp4 ? 0x40 : 127);
        }
        coding.codes = codes.data();
        coding.group_scale = {f == Format::mxfp8 ? Type::e8m0 : Type::e4m3,
                              group_scale.empty() ? nullptr : group_scale.data()};
        if (kind.corrected)
            coding.correction = f32s(correction, n * (k / group), -3.0f, 3.0f);
    }

    std::vector<float> decoded() const {
        std::vector<float> out(static_cast<size_t>(coding.rows() * coding.columns()));
        coding.decode(0, static_cast<int64_t>(out.size()), out.data());
        return out;
    }

private:
    static void bytes(std::vector<uint8_t> & out, int64_t count, int least, int most) {
        out.resize(static_cast<size_t>(count));
        for (uint8_t & byte : out)
            byte = static_cast<uint8_t>(any(least, most));
    }
    static ltx2::Numbers f32s(std::vector<uint8_t> & out, int64_t count, float least, float most) {
        out.resize(static_cast<size_t>(count) * 4 + 1);
        for (int64_t i = 0; i < count; ++i) {
            const float value = least + (most - least) * static_cast<float>(any(0, 999)) / 1000;
            std::memcpy(out.data() + 1 + i * 4, &value, 4);
        }
        return {Type::f32, out.data() + 1};
    }
};
