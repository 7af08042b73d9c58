#include "files/tensor_files.h"
#include "model/model_folder.h"
#include "targets/tensors.h"

using ltx2::words;

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

std::vector<std::string> worst_inputs() {
    const size_t many = 4000000;
    std::vector<std::string> out;
    for (const auto & [type, size] : std::vector<std::pair<uint32_t, size_t>>{{gguf_u8, 1},
                                                                              {gguf_bool, 1},
                                                                              {gguf_u16, 2},
                                                                              {gguf_f32, 4},
                                                                              {gguf_string, 8},
                                                                              {gguf_array, 12}}) {
        Gguf g;
        g.entry("a", gguf_array).u32(type).u64(many).raw(std::string(many * size, '\0'));
        out.push_back(g.build());
    }
    Gguf keys, tensors;
    for (int i = 0; i < 300000; ++i) {
        keys.entry(words("%x", i), gguf_u8).put('\1');
        tensors.tensor(words("%x", i), {}, GGML_TYPE_F32, 0);
    }
    out.push_back(keys.build());
    out.push_back(tensors.bytes(4).build()); // which overlap
    Gguf apart;
    for (uint64_t i = 0; i < 300000; ++i)
        apart.tensor(words("transformer_blocks.%x", static_cast<unsigned>(i)), {8}, GGML_TYPE_F32,
                     32 * i);
    out.push_back(apart.bytes(32 * 300000).build());
    Gguf longest;
    longest.tensor(repeated("model.", 10000), {8}, GGML_TYPE_F32, 0).bytes(32);
    out.push_back(longest.build());
    return out;
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
