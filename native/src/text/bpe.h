// Byte-pair encoding: the one step of the tokenizer that looks at how pieces join.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace ltx2 {

struct Bpe {
    struct Merge {
        int32_t rank; // the lowest goes first
        int32_t id;   // of the joined piece
    };

    std::unordered_map<std::string, int32_t> vocabulary;
    std::unordered_map<uint64_t, Merge> merges; // by pair(left, right)
    std::array<int32_t, 256> bytes;             // the piece of each byte, -1 without one
    int32_t unknown = -1;                       // without it what has no piece is dropped
    bool fuse_unknown = false;                  // neighbours without a piece give one token
    bool ignore_merges = false;                 // a text that is a piece is taken whole

    Bpe() { bytes.fill(-1); }

    static uint64_t pair(int32_t left, int32_t right) {
        return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 |
               static_cast<uint32_t>(right);
    }
    int32_t find(const std::string & piece) const; // -1 where there is none

    // From now on a character without a piece becomes the pieces <0x00> .. <0xFF> of its bytes,
    // where the vocabulary has them.
    void use_byte_fallback();

    // Makes the merges of a vocabulary that has scores instead: every cut of a piece into two
    // pieces, ordered as Hugging Face's conversion orders them. `scores` is by id.
    void rank_by_score(const std::vector<std::string> & pieces, const std::vector<float> & scores);

    // Appends the tokens of `text`, which is valid UTF-8: O(n log n) in its length.
    void encode(std::string_view text, std::vector<int32_t> & out) const;
};

} // namespace ltx2
