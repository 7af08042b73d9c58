// GGUF or safetensors: bytes -> a checked table of tensors and metadata. Nothing is copied: tensors
// point into the mapped file, which lives as long as the TensorFile. Whatever the bytes, reading
// ends in a table whose every tensor lies within the file, or in Error MODEL that names the file
// and what is wrong; memory stays in proportion to the file's header.
#pragma once

#include "files/json.h"
#include "files/mapping.h"

#include "ggml.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace ltx2 {

struct TensorInfo {
    std::string name;
    const char * dtype = "";        // as the format names it: "q8_0", "BF16", "F8_E4M3"
    ggml_type type = GGML_TYPE_F32; // GGML_TYPE_COUNT where ggml has no such type
    std::vector<int64_t> shape;     // as PyTorch prints it, outermost first; GGUF's order reversed
    const uint8_t * data = nullptr; // aligned in GGUF, at any byte in safetensors
    size_t size = 0;                // bytes
    int64_t elements() const;
};

struct TensorFile {
    std::string path;
    std::string format;               // "GGUF v3", "safetensors"
    std::shared_ptr<Mapping> mapping; // null where the bytes are the caller's
    const uint8_t * data = nullptr;   // the file's first byte
    Json metadata;                    // object; for safetensors its __metadata__ strings
    std::vector<TensorInfo> tensors;  // in the file's order; no name occurs twice
    std::vector<uint32_t> by_name;    // indices into tensors, sorted: what find() searches

    bool is_gguf() const { return format.compare(0, 4, "GGUF") == 0; }
    const TensorInfo * find(std::string_view name) const; // null if there is none
};

TensorFile read_gguf(const std::string & path); // v2, v3, little endian
TensorFile read_safetensors(const std::string & path);
TensorFile read_tensor_file(const std::string & path); // by its first bytes; MODEL if neither

// The same on bytes that the caller keeps; `path` only names them in errors.
TensorFile read_gguf(const uint8_t * data, size_t size, const std::string & path);
TensorFile read_safetensors(const uint8_t * data, size_t size, const std::string & path);
TensorFile read_tensor_file(const uint8_t * data, size_t size, const std::string & path);

// For the readers: fills by_name (MODEL if a name occurs twice); gives the tensors in the order of
// their bytes (MODEL if those of two overlap).
void index_by_name(TensorFile & file);
std::vector<const TensorInfo *> sorted_by_place(const TensorFile & file);

// The number of elements; false where that passes 2^63 - 1.
bool count_elements(const std::vector<int64_t> & shape, uint64_t & out); // dimensions >= 0

} // namespace ltx2
