// What files leave unsaid: the configuration of LTX-2.3, and Gemma 3's sizes from where they are
// kept.
#pragma once

#include "gemma_config.h"
#include "weights.h"

namespace ltx2 {

// The header of the official LTX-2.3 files, for files without one (community GGUF splits).
extern const char * const ltx23_config;

// From the gemma3.* keys of a GGUF, or config.json beside a safetensors file. MODEL naming the key.
GemmaConfig gemma_config(const ModelFile & file, const Index & index);

} // namespace ltx2
