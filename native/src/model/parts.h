// What the makers of model files call the same tensor, and which part of a model it belongs to.
#pragma once

#include "files/tensor_file.h"

namespace ltx2 {

enum class Role { dit, connector, projection, video_vae, text_encoder, none };
constexpr int role_count = 5;
const char * role_words(Role role);

struct Place {
    Role role = Role::none; // none: a video does not need the tensor (audio, vision)
    std::string name;       // the official one, without `model.diffusion_model.`; llama.cpp's
    float added = 0;        // Hugging Face stores norms without the 1 that GGUF holds inside
};

// How one file names its tensors, judged by all of them.
class Naming {
public:
    explicit Naming(const ModelFile & file); // MODEL: a layout that is known and not read
    Place place(const std::string & name) const;

    bool gemma = false; // the file is a text encoder's, or a shard of one
    bool lora = false;
    bool audio = false; // some tensors are the sound's

private:
    bool bare_vae_ = false;
};

} // namespace ltx2
