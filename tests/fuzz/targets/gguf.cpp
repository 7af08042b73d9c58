#include "files/tensor_files.h"
#include "model/model_folder.h"
#include "targets/tensors.h"

void run_target(const uint8_t * data, size_t size) {
    use(ltx2::read_gguf(data, size, "input"), data, size);
}

std::vector<std::string> seeds() {
    Gguf old = valid_gguf();
    old.version = 2;
    Gguf comfy = valid_gguf();
    comfy.entry("comfy.gguf.orig_shape.b", gguf_array).u32(gguf_i32).u64(2).u32(3).u32(2);
    comfy.entry("general.alignment", gguf_u32).u32(32);
    return {valid_gguf().build(), old.build(), comfy.build(), llama_gemma().build()};
}

std::vector<std::string> dictionary() {
    return {"GGUF",
            "general.alignment",
            "general.architecture",
            "split.count",
            "model_version",
            "config",
            "comfy.gguf.orig_shape.",
            "gemma3",
            "ltxv",
            "\x1b[2J",
            "\xe2\x80\xae"};
}
