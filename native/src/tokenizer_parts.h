// What a Tokenizer is made of. The three sources fill it, each in a file of its own.
#pragma once

#include "added_tokens.h"
#include "bpe.h"
#include "json.h"

#include <string>
#include <utility>
#include <vector>

namespace ltx2 {

// Gemma's longest piece has 93 bytes; the bound keeps the work on a damaged file small.
constexpr size_t longest_piece = 512;

struct TokenizerParts {
    AddedTokens raw;                                            // found in the text as typed
    AddedTokens normalized;                                     // found after the replacements
    std::vector<std::pair<std::string, std::string>> replacements; // the normalizer, in order
    std::string split_after;                                    // ends a piece; empty: never
    Bpe bpe;
    int32_t bos = -1;
    size_t size = 0;

    std::string normalize(std::string_view text) const;
};

// A vocabulary with scores, as SentencePiece and GGUF keep it.
struct ScoredPiece {
    std::string text;
    float score = 0;
    int type = 1; // SentencePiece's numbers, which are GGUF's
};

// The parts Hugging Face's conversion gives them. `what` begins the words of an error.
TokenizerParts parts_of_pieces(const std::vector<ScoredPiece> & pieces, int64_t bos,
                               int64_t unknown, const std::string & what);

// INVALID_ARGUMENT or MODEL as the caller says, naming the offset of the first bad byte.
void require_utf8(std::string_view text, ltx2_status status, const std::string & what);

} // namespace ltx2
