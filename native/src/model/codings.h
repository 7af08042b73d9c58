// Which tensors of a part are coded in one of ComfyUI's formats, which others hold their scales,
// and whether all of it fits together.
#pragma once

#include "model/recognise.h"

namespace ltx2 {

// The key of a file's metadata that says how its modules are coded.
inline constexpr const char * codings_key = "_quantization_metadata";

// Gives each tensor that is coded its Coding, and takes the tensors that belong to it out of the
// part. MODEL, without the file's name: an unknown format, or what is wrong with which module.
void find_codings(Index & tensors, const std::vector<const TensorFile *> & files);

} // namespace ltx2
