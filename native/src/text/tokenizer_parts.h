// What a Tokenizer is made of. The three sources fill it, each in a file of its own.
#pragma once

#include "files/json.h"
#include "text/added_tokens.h"
#include "text/bpe.h"

#include <string>
#include <utility>
#include <vector>

namespace ltx2 {

// Gemma's longest piece has 93 bytes; the bound keeps the work on a damaged file small.
constexpr size_t longest_piece = 512;
constexpr size_t longest_prompt = size_t(1) << 20; // bytes

constexpr const char * space_mark = "\xE2\x96\x81"; // U+2581, what a space becomes

// SentencePiece's numbers, which are GGUF's too.
enum PieceType { normal = 1, unknown_piece, control, user_defined, unused, byte_piece };

struct TokenizerParts {
    AddedTokens added;                                             // found in the text as typed
    std::vector<std::pair<std::string, std::string>> replacements; // the normalizer, in order
    std::string split_after;                                       // ends a piece; empty: never
    Bpe bpe;
    int32_t bos = -1;
    size_t size = 0;

    std::string normalize(std::string_view text) const;
    int32_t added_token(std::string_view text) const; // the one of this text, or -1
    // Gemma 4's, by its tokens for turns: a <bos> that is typed is the one, and pairs join by rank.
    bool is_gemma4() const { return added_token("<|turn>") >= 0; }

    // Gemma's, and all that SentencePiece and GGUF can state.
    static std::vector<std::pair<std::string, std::string>> spaces_marked() {
        return {{" ", space_mark}};
    }
};

// Of a vocabulary with scores, as SentencePiece and GGUF keep it.
struct ScoredPiece {
    std::string text;
    float score = 0;
    int type = normal; // a PieceType, or a number to be refused
};

// A vocabulary as a GGUF states it, by id.
struct GgufVocabulary {
    std::vector<ScoredPiece> pieces;
    // "left right", by rank: Gemma 4's, whose scores mean nothing. Empty: the scores say all.
    std::vector<std::string> merges;
};

// Makes the parts that Hugging Face's conversion gives such a vocabulary, piece by piece. `what`
// begins the words of an error, which is MODEL.
class ScoredParts {
public:
    ScoredParts(size_t pieces, size_t bytes, std::string what); // as many as are added, or about
    void add(const ScoredPiece & piece);                        // in the order of their ids
    TokenizerParts finish(int64_t bos, int64_t unknown);

private:
    TokenizerParts parts_;
    std::string what_;
};

// The keys by which a GGUF states a vocabulary, added to `metadata`: exactly `rows` tokens, as the
// embedding has. Rows without a token become unused ones; special tokens without a row, which only
// pictures need, go. MODEL with `what` in its words.
void put_gguf_keys(GgufVocabulary vocabulary, size_t rows, const std::string & what,
                   Json & metadata);

// "left right". MODEL with `what` in its words where it is not two pieces,
std::pair<std::string, std::string> two_pieces(std::string_view merge, const std::string & what);
// or where they or what they make are not in the vocabulary.
void add_merge(const Bpe & bpe, const std::string & left, const std::string & right,
               const std::string & what, std::vector<Bpe::Merge> & list);

// `from` is not empty. MODEL where the text would grow past all bounds.
std::string replace_all(std::string_view text, const std::string & from, const std::string & to);

// INVALID_ARGUMENT or MODEL as the caller says, naming the offset of the first bad byte.
void require_utf8(std::string_view text, ltx2_status status, const std::string & what);

} // namespace ltx2
