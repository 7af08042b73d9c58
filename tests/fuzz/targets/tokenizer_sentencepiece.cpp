#include "targets/tokenizers.h"

#include <cstring>

using namespace ltx2;

void run_target(const uint8_t * data, size_t size) {
    use(Tokenizer::from_sentencepiece(as_text(data, size), "input"), size);
    const UncountedMemory writing; // what a conversion takes
    GgufVocabulary vocabulary;
    const Tokenizer again =
        Tokenizer::from_sentencepiece(as_text(data, size), "input", Json(), &vocabulary);
    use(again, 0, texts_of(vocabulary.pieces));
}

// ---- protobuf's wire format

static std::string varint(uint64_t n) {
    std::string out;
    for (; n >= 0x80; n >>= 7)
        out += static_cast<char>(n | 0x80);
    return out + static_cast<char>(n);
}

static std::string number(uint64_t field, uint64_t value) {
    return varint(field << 3) + varint(value);
}

static std::string bytes(uint64_t field, const std::string & value) {
    return varint(field << 3 | 2) + varint(value.size()) + value;
}

static std::string piece(const std::string & text, float score, uint64_t type) {
    char raw[sizeof score];
    std::memcpy(raw, &score, sizeof score);
    return bytes(1, bytes(1, text) + varint(2 << 3 | 5) + std::string(raw, sizeof raw) +
                        number(3, type));
}

static std::string tokenizer(uint64_t fallback) {
    const std::vector<std::string> texts = {"<pad>", "<eos>", "<bos>",  "<unk>", "▁a",
                                            "a",     "▁",     "b",      "ab",    "ba",
                                            "aba",   "bab",   "<0x41>", "  "};
    const std::vector<uint64_t> types = {3, 3, 3, 2, 1, 1, 1, 1, 1, 1, 1, 1, 6, 4};
    std::string out;
    for (size_t i = 0; i < texts.size(); ++i)
        out += piece(texts[i], -static_cast<float>(i), types[i]);
    out += bytes(2, number(3, 2) + number(35, fallback) + number(40, 3) + number(41, 2));
    return out + bytes(3, number(3, 0) + number(4, 0) + number(5, 1));
}

std::vector<std::string> seeds() { return {tokenizer(0), tokenizer(1)}; }

std::vector<std::string> worst_inputs() {
    std::string words, runs, few = tokenizer(0);
    for (int length = 1; length <= 16; ++length) // every cut of every piece joins two others
        for (int i = 0; i < 1 << length; ++i) {
            std::string text;
            for (int bit = 0; bit < length; ++bit)
                text += (i >> bit & 1) ? 'c' : 'd';
            words += bytes(1, bytes(1, text)); // with the default score and type
        }
    for (int i = 2; i < 500; ++i)
        runs += piece(repeated("a", static_cast<size_t>(i)), static_cast<float>(i), 1);
    for (int i = 0; i < 20000; ++i)
        runs += piece(std::to_string(i) + repeated("q", 490), 0, 1);
    return {few + words, few + runs};
}

std::vector<std::string> dictionary() {
    return {piece("aa", 0, 1), piece("▁▁", -1, 4), piece("<0x42>", 0, 6), number(3, 2),
            "\xff\xff\xff\xff\x0f"};
}
