// Files that are right, and files read from memory: what the tests of the readers share.
#pragma once

#include "bytes.h"
#include "files/tensor_file.h"

#include <string>
#include <vector>

// On the heap and of the exact size, so that a sanitizer sees a read past the end.
struct Held {
    explicit Held(const std::string & bytes) : copy(bytes.begin(), bytes.end()) {}
    std::vector<uint8_t> copy;
    ltx2::TensorFile file() const { return ltx2::read_tensor_file(copy.data(), copy.size(), "m"); }
};

inline void read(const std::string & bytes) { Held(bytes).file(); }

inline Gguf valid_gguf() {
    Gguf g;
    g.entry("general.architecture", gguf_string).text("ltxv");
    g.entry("n", gguf_u32).u32(7);
    g.entry("list", gguf_array).u32(gguf_array).u64(2);
    g.entries.u32(gguf_string).u64(2).text("a").text("\xc3\xa9");
    g.entries.u32(gguf_f32).u64(1).put(0.5f);
    g.tensor("a", {32, 2}, GGML_TYPE_Q8_0, 0).bytes(96); // 68 bytes and a hole
    g.tensor("b", {3, 1, 2}, GGML_TYPE_F16, 96).bytes(12);
    return g;
}

inline const char * const valid_header =
    R"({"__metadata__":{"config":"{\"a\":1}","model_version":"2.3"},)"
    R"("b":{"dtype":"BF16","shape":[2,3],"data_offsets":[4,16]},)"
    R"("a":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]},)"
    R"("none":{"dtype":"F32","shape":[0,9],"data_offsets":[4,4]},)"
    R"("one":{"dtype":"F32","shape":[],"data_offsets":[16,20]}}   )";
