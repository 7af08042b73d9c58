// What the makers of model files call the same tensor.
#pragma once

#include <string>

namespace ltx2 {

// The name in the index, or "" for a tensor that a video does not need (audio, vision).
std::string checkpoint_name(const std::string & name);
// llama.cpp's name of a Gemma tensor. `added` is what its values lack: Hugging Face stores norms
// without the 1 that GGUF holds inside.
std::string gemma_name(const std::string & name, float & added);
bool is_gemma_name(const std::string & name);

} // namespace ltx2
