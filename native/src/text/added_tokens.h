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

struct AddedToken {
    std::string content;
    int32_t id = 0;
    bool single_word = false; // only where no word character touches it
    bool lstrip = false;      // takes the spaces before it too
    bool rstrip = false;      // and after it
};

class AddedTokens {
public:
    static constexpr int32_t plain = -1; // the id of a part that is no token
    struct Part {
        std::string_view text;
        int32_t id;
    };

    void add(AddedToken token); // one without content is never found

    // The text in order; where two tokens start alike the longest wins. O(n) times the length of
    // the longest token.
    std::vector<Part> split(std::string_view text) const;

private:
    struct Match {
        size_t size;
        const AddedToken * token;
    };
    Match longest(std::string_view text) const; // at the start of text; null where there is none

    // A trie. An edge is node << 8 | byte.
    std::unordered_map<uint64_t, uint32_t> edges_;
    std::unordered_map<uint32_t, AddedToken> tokens_; // by the node where they end
    std::array<bool, 256> starts_{};
    uint32_t nodes_ = 1;
};

} // namespace ltx2
