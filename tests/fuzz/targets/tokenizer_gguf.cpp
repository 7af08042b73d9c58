#include "bytes.h"
#include "files/tensor_file.h"
#include "targets/tokenizers.h"

using namespace ltx2;

void run_target(const uint8_t * data, size_t size) {
    const TensorFile file = read_gguf(data, size, "input");
    use(Tokenizer::from_gguf(file.metadata, "input"), size);
    const UncountedMemory writing; // what a conversion takes
    GgufVocabulary vocabulary;
    const Tokenizer again = Tokenizer::from_gguf(file.metadata, "input", &vocabulary);
    use(again, 0, texts_of(vocabulary.pieces));
}

static std::string written(const std::vector<std::string> & texts,
                           const std::vector<int32_t> & types,
                           const std::vector<std::string> & merges = {}) {
    Gguf g;
    g.entry("tokenizer.ggml.model", gguf_string).text(merges.empty() ? "llama" : "gemma4");
    g.entry("tokenizer.ggml.merges", gguf_array).u32(gguf_string).u64(merges.size());
    for (const std::string & merge : merges)
        g.entries.text(merge);
    g.entry("tokenizer.ggml.tokens", gguf_array).u32(gguf_string).u64(texts.size());
    for (const std::string & text : texts)
        g.entries.text(text);
    g.entry("tokenizer.ggml.scores", gguf_array).u32(gguf_f32).u64(texts.size());
    for (size_t i = 0; i < texts.size(); ++i)
        g.entries.put(-static_cast<float>(i));
    g.entry("tokenizer.ggml.token_type", gguf_array).u32(gguf_i32).u64(texts.size());
    for (const int32_t type : types)
        g.entries.put(type);
    g.entry("tokenizer.ggml.bos_token_id", gguf_u32).u32(2);
    g.entry("tokenizer.ggml.unknown_token_id", gguf_u32).u32(3);
    g.entry("tokenizer.ggml.add_space_prefix", gguf_bool).put(uint8_t{0});
    return g.build();
}

static std::string tokenizer(size_t bytes, const std::vector<std::string> & merges = {}) {
    std::vector<std::string> texts = {
        "<pad>", "<eos>", "<bos>", "<unk>", "▁a",  "a",  "▁",
        "r",     "e",     "d",     "re",    "red", "\n", "<image_soft_token>",
        "  "};
    std::vector<int32_t> types = {3, 3, 3, 2, 1, 1, 1, 1, 1, 1, 1, 1, 4, 4, 4};
    for (size_t i = 0; i < bytes; ++i) {
        texts.push_back(words("<0x%02X>", static_cast<unsigned>(i)));
        types.push_back(6);
    }
    return written(texts, types, merges);
}

std::vector<std::string> seeds() {
    return {tokenizer(0), tokenizer(256), tokenizer(256, {"▁ a", "r e", "re d"})};
}

std::vector<std::string> worst_inputs() {
    std::vector<std::string> texts = {"<pad>", "<eos>", "<bos>", "<unk>"};
    for (int length = 1; length <= 16; ++length) // every cut of every piece joins two others
        for (int i = 0; i < 1 << length; ++i) {
            std::string text;
            for (int bit = 0; bit < length; ++bit)
                text += (i >> bit & 1) ? 'a' : 'b';
            texts.push_back(text);
        }
    std::vector<std::string> spaces = {texts.begin(), texts.begin() + 4};
    for (int i = 1; i < 160; ++i)
        spaces.push_back(repeated(" ", i));
    return {written(texts, std::vector<int32_t>(texts.size(), 1)),
            written(texts, std::vector<int32_t>(texts.size(), 4)),
            written(spaces, std::vector<int32_t>(spaces.size(), 1))};
}

std::vector<std::string> dictionary() {
    return {"tokenizer.ggml.", "add_bos_token", "llama", "<0x41>", "▁▁", "red", "\n\n"};
}
