// How each tensor of a new file is stored: the table of types, the rules, the caller's patterns
// that override them, and the types with which a file of a given size loses least. docs/gguf.md
// explains them.
#pragma once

#include "ggml.h"

#include <cstdint>
#include <string>
#include <vector>

namespace ltx2 {

struct StorageType {
    const char * name;
    ggml_type type;
    int file_type;         // llama.cpp's number
    double nmse;           // of a normally distributed matrix after the round trip
    const char * higher;   // one step more precise
    const char * fallback; // where a row is not whole blocks of it
};
// Whether it is codes of 8 bits, rotated, with a scale for each row that is a tensor of its own:
// docs/comfyui.md's int8_tensorwise.
inline bool is_coded(const StorageType & type) { return type.type == GGML_TYPE_I8; }
const std::vector<StorageType> & storage_types();           // from the most precise to the smallest
const StorageType & storage_type(const std::string & name); // INVALID_ARGUMENT: there is none

// A tensor of the new file, by its name there; the shape is the source's.
struct StoredTensor {
    std::string name;
    std::vector<int64_t> shape;
};

// The DiT block that a tensor of the new file belongs to, or -1.
int64_t block_of(const std::string & name);

// What was picked to reach a size.
struct Fit {
    std::vector<const StorageType *> types; // of each group in turn; null where it has no matrix
    double psnr = 0;                        // of the frames that is expected, in dB
};

class Storage {
public:
    // Matrices are stored as `type`, except those that a "PATTERN=TYPE" or a rule is about.
    Storage(std::vector<StoredTensor> tensors, const StorageType & type,
            const std::vector<std::string> & patterns);

    // Another type for each group of matrices, so that the tensors take at most this many bytes and
    // the frames lose least. INVALID_ARGUMENT that names the least there is.
    Fit fit(uint64_t bytes);

    // Of each tensor in turn. INVALID_ARGUMENT where a pattern is of none of the matrices. What is
    // stored otherwise because of its rows is logged.
    std::vector<const StorageType *> choose() const;

private:
    struct Pattern {
        std::string names;
        const StorageType * type;
    };
    struct Price { // of a group, in one type
        uint64_t bytes = 0;
        double values = 0;
        double error = 0; // what it adds to that of the frames
    };
    using Prices = std::vector<std::vector<Price>>;
    Prices prices() const;
    const Pattern * pattern_of(const StoredTensor & tensor) const;
    const StorageType * wanted(const StoredTensor & tensor, const StorageType * type) const;

    std::vector<StoredTensor> tensors_;
    std::vector<const StorageType *> types_; // of each group
    std::vector<Pattern> patterns_;
    int64_t blocks_ = 0; // of the DiT
};

// In a GGUF file each tensor begins at a multiple of this.
inline constexpr uint64_t tensor_alignment = 32;
// What a tensor takes there.
uint64_t stored_size(const StoredTensor & tensor, const StorageType & type);

// A group of matrices, and what rounding them costs.
struct Group {
    const char * names; // a pattern
    double
        sensitivity; // mean squared error of the frames, of 1 for white, per NMSE of its matrices
};
const std::vector<Group> & groups(); // the last is of every other matrix

} // namespace ltx2
