// Prompt -> tokens: Gemma's tokenizer, 3's or 4's, from any of the three places where it is kept.
// The ids are those of Hugging Face's: the text stripped, <bos> before it, nothing after it, cut at
// the end. And back, of what a language model answers.
#pragma once

#include "model/model.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace ltx2 {

struct GgufVocabulary;
struct TokenizerParts;

// Immutable; a copy shares the tables, and many threads may use it at once.
class Tokenizer {
public:
    // From wherever a text encoder's part keeps it: its GGUF's metadata, a tensor `tokenizer_json`
    // or `spiece_model`, or tokenizer.json or tokenizer.model next to it. `vocabulary`, where
    // given, gets it as a GGUF states it. MODEL.
    static Tokenizer open(const Part & part, GgufVocabulary * vocabulary = nullptr);
    static void check(const Part & part); // MODEL where there is none; reads nothing
    // Each throws MODEL with `path` in its words where the file is damaged or asks for something
    // that is not supported. With Gemma's 262144 pieces a call takes about half a second.
    static Tokenizer from_gguf(const Json & metadata, const std::string & path,
                               GgufVocabulary * vocabulary = nullptr);
    static Tokenizer from_json(const Json & tokenizer_json, const std::string & path,
                               GgufVocabulary * vocabulary = nullptr);
    // `added`: the table of added_tokens.json, or null.
    static Tokenizer from_sentencepiece(std::string_view bytes, const std::string & path,
                                        const Json & added = Json(),
                                        GgufVocabulary * vocabulary = nullptr);

    // At least <bos>, at most `max_tokens`. INVALID_ARGUMENT where `text` is not UTF-8 or is longer
    // than 1 MiB: the work stays O(n log n) in something that fits.
    std::vector<int32_t> encode(std::string_view text, int max_tokens) const;

    // A person's turn in a conversation and the beginning of the model's, as Gemma was trained on
    // it, without a thought. No part of `text` becomes a token that means something, like the end
    // of a turn. MODEL where the vocabulary has no such tokens; INVALID_ARGUMENT as encode().
    std::vector<int32_t> encode_turn(std::string_view text) const;
    bool ends_turn(int32_t token) const; // <end_of_turn>, <turn|> or <eos>
    // The bytes that a token stands for; none of one that only means something.
    std::string text(int32_t token) const;

    size_t size() const; // every id is below it

private:
    explicit Tokenizer(TokenizerParts parts);
    std::shared_ptr<const TokenizerParts> parts_;
};

} // namespace ltx2
