// How the values of a tensor are coded where ggml has no type for it: ComfyUI's formats, which
// docs/comfyui.md describes. Codes and scales stay where they are in the file, at any address.
#pragma once

#include "files/format.h"
#include "files/tensor_file.h"

#include <cstdint>
#include <vector>

namespace ltx2 {

// The scales that belong to codes, and the like.
struct Numbers {
    enum class Type { f32, f16, bf16, e4m3, e8m0 };
    Type type = Type::f32;
    const uint8_t * data = nullptr; // null: there are none

    float operator[](int64_t i) const;
};

struct Coding {
    const char * name; // as the file calls the format
    Format format;
    std::vector<int64_t> shape; // of the values, outermost first
    const uint8_t * codes;
    int64_t row_bytes;
    // Rows and columns may end in values that are of no use, up to a multiple of this.
    int64_t padding = 1;

    // A value is what its code says, times the scale of its group of columns, all of which
    // `unscaled` gives; that times the scale of its row, or of all rows.
    Numbers scale;
    bool scale_of_row = false;
    Numbers group_scale;
    int64_t group = 1;         // columns
    float levels[16] = {};     // of w4a8: what a code stands for before it is scaled and rounded
    Numbers correction;        // added to w4a8's values, [groups, rows]; then `unscaled` is all
    int64_t rotated_group = 0; // columns that ConvRot has rotated together, or 0
    std::vector<const TensorInfo *> beside; // which hold all these numbers

    int64_t columns() const;
    int64_t rows() const;
    // Whether `unscaled` gives whole numbers of 8 bits, or numbers that BF16 holds.
    bool is_whole() const;
    bool fits_bf16() const;
    float row_scale(int64_t row) const;
    // Of the groups first, first + 1, ... of a row.
    void group_scales(int64_t row, int64_t first, int64_t count, float * out) const;
    // Columns [first, first + count) of a row, rotated still.
    void unscaled(int64_t row, int64_t first, int64_t count, float * out) const;
    // Values [first, first + count) in the order of the rows, as they were before they were coded.
    void decode(int64_t first, int64_t count, float * out) const;

private:
    float code(const uint8_t * row, int64_t column) const;
};

// x times the regular Hadamard matrix of each `group` of values, which is its own inverse.
void rotate(float * x, int64_t count, int64_t group);

} // namespace ltx2
