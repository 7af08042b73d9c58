// Byte-pair encoding: the one step of the tokenizer that looks at how pieces join.
#pragma once

#include "text/vocabulary.h"

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace ltx2 {

struct Bpe {
    struct Merge {
        int32_t left, right; // the pieces' ids
        int32_t rank;        // the lowest goes first
        int32_t id;          // of the joined piece
    };

    Vocabulary vocabulary;
    // Which pieces join, and in which order: those of the list, by rank; or, where there are
    // scores, any two whose texts make a piece, the best score first, then the longest left part,
    // the longest right part, and the lowest id, which is Hugging Face's order.
    std::vector<Merge> merges;      // sorted
    std::vector<float> scores;      // by id, of pieces that were added in the order of their ids
    std::array<int32_t, 256> bytes; // the piece of each byte, -1 without one
    int32_t unknown = -1;           // without it what has no piece is dropped
    bool fuse_unknown = false;      // neighbours without a piece give one token
    bool ignore_merges = false;     // a text that is a piece is taken whole

    Bpe() { bytes.fill(-1); }

    int32_t find(std::string_view piece) const { return vocabulary.find(piece); } // -1: none
    // Of a list in the order of rank; of the same pair twice, the later rank holds.
    void set_merges(std::vector<Merge> list);

    // From now on a character without a piece becomes the pieces <0x00> .. <0xFF> of its bytes,
    // where the vocabulary has them.
    void use_byte_fallback();

    // Appends the tokens of `text`, which is valid UTF-8: O(n log n) in its length.
    void encode(std::string_view text, std::vector<int32_t> & out) const;
};

} // namespace ltx2
