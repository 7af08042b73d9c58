// What a model file holds, in words, from its table alone: no weight is read.
#pragma once

#include "files/tensor_file.h"

namespace ltx2 {

// Which parts of the model the tensors' names tell of, in the order the pipeline needs them:
// "text encoder", "projection", "connector", "dit", "video vae", and what is not yet used:
// "audio vae", "vocoder", "lora".
std::vector<std::string> roles(const ModelFile & file);

// Lines `key: value`: format, roles, counts, bytes by type; then `metadata KEY: VALUE`, long values
// shortened; then `tensor NAME: TYPE [SHAPE]`.
std::string describe(const ModelFile & file);

} // namespace ltx2
