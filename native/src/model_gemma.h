// The sizes of a Gemma 3 text model, from wherever its file keeps them.
#pragma once

#include "gemma_config.h"
#include "model_file.h"

namespace ltx2 {

// From the gemma3.* keys of a GGUF, else the config.json beside the file, else, in a file that
// carries its own tokenizer, the 12B model's. MODEL naming the file and the key: missing, out of
// bounds, or a variant of the architecture that is not done here.
GemmaConfig gemma_config(const ModelFile & file);

} // namespace ltx2
