// GGUF or safetensors: bytes -> a checked table of tensors and metadata. Nothing is copied: tensors
// point into the mapped file, which lives as long as the ModelFile.
#pragma once

#include "json.h"

#include "ggml.h"

#include <array>
#include <memory>
#include <string>
#include <vector>

namespace ltx2 {

// A file mapped read-only; the pages go back to the system with it.
class Mapping {
public:
    explicit Mapping(const std::string & path); // MODEL: missing, unreadable, empty, a folder
    ~Mapping();
    Mapping(const Mapping &) = delete;
    Mapping & operator=(const Mapping &) = delete;
    const uint8_t * data() const { return data_; }
    size_t size() const { return size_; }
    // Lets the pages of a range go from memory; they come back from the file when read again.
    void release(const uint8_t * begin, size_t size) const;

private:
    const uint8_t * data_ = nullptr;
    size_t size_ = 0;
};

struct TensorInfo {
    std::string name;
    ggml_type type = GGML_TYPE_F32;
    std::vector<int64_t> shape; // as PyTorch prints it, outermost first; GGUF's order reversed
    const uint8_t * data = nullptr;
    size_t size = 0;            // bytes
    int64_t elements() const;
};

struct ModelFile {
    std::string path;
    std::shared_ptr<Mapping> mapping;
    Json metadata;              // object; for safetensors its __metadata__ strings
    std::vector<TensorInfo> tensors;

    const TensorInfo * find(std::string_view name) const;
};

ModelFile read_gguf(const std::string & path);        // v2, v3, little endian
ModelFile read_safetensors(const std::string & path);
ModelFile read_model_file(const std::string & path);  // by its first bytes; MODEL if neither

} // namespace ltx2
