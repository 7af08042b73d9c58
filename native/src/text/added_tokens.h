// Tokens found as a whole, before anything else looks at the text: <bos>, <unused7>, a run of
// newlines. Hugging Face calls them added tokens.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace ltx2 {

class AddedTokens {
public:
    static constexpr int32_t plain = -1; // the id of a part that is no token
    struct Part {
        std::string_view text;
        int32_t id;
    };

    void add(const std::string & content, int32_t id); // an empty one is never found

    // The text in order; where two tokens start alike the longest wins. O(n) times the length of
    // the longest token.
    std::vector<Part> split(std::string_view text) const;

private:
    Part longest(std::string_view text) const; // at the start of text; empty where there is none

    // A trie. An edge is node << 8 | byte.
    std::unordered_map<uint64_t, uint32_t> edges_;
    std::unordered_map<uint32_t, int32_t> tokens_; // ids, by the node where they end
    std::array<bool, 256> starts_{};
    uint32_t nodes_ = 1;
};

} // namespace ltx2
