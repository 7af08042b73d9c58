// What a model file holds, from its table alone: no weight is read.
#pragma once

#include "files/tensor_file.h"

namespace ltx2 {

// {"file", "format",
//  "parts": [{"id", "title", "need"}, ...], recognised by its own tensors,
//  "problem": why it cannot be used, or null,
//  "tensors", "parameters", "bytes": counts,
//  "types": {"q8_0": {"tensors", "parameters", "bytes"}, ...},
//  "metadata": {KEY: VALUE}; of a long text or list {"begins": its first part, "length": of all},
//  "tensor_list": [{"name", "type", "shape": outermost first}, ...]}
Json describe(const TensorFile & file);

Json part_table(); // [{"id", "title", "need"}, ...] of all parts there are

} // namespace ltx2
