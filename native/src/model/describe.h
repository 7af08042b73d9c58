// What a model file holds, from its table alone: no weight is read.
#pragma once

#include "files/tensor_file.h"

namespace ltx2 {

// Of a converted file: the SHA-256 of each tensor's bytes, in hexadecimal.
inline constexpr char checksums_key[] = "ltx2.tensor_sha256";

class TensorSum {
public:
    void add(const TensorInfo & tensor, int64_t parameters);
    void put(Json::Object & out) const; // "tensors", "parameters", "bytes"

private:
    int64_t tensors_ = 0, parameters_ = 0, bytes_ = 0;
};

// {"file", "format",
//  "parts": [{"id", "title", "need", "geometry": {"blocks": 48, ...}, and counts}, ...], recognised
//      by its own tensors,
//  "problem": why it cannot be used, or null,
//  "tensors", "parameters", "bytes": counts,
//  "types": {"q8_0": {"tensors", "parameters", "bytes"}, ...},
//  "license": as it states it, or null,
//  "metadata": {KEY: VALUE}; of a long text or list {"begins": its first part, "length": of all},
//  "tensor_list": [{"name", "type", "shape": outermost first, "offset", "bytes", "sha256": of the
//      bytes, as the file states it, or null}, ...]}
Json describe(const TensorFile & file);

Json part_table(); // [{"id", "title", "need"}, ...] of all parts there are

} // namespace ltx2
