// Tokens found as a whole, before anything else looks at the text: <bos>, <unused7>, a run of
// newlines. Hugging Face calls them added tokens.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace ltx2 {

class AddedTokens {
public:
    static constexpr int32_t plain = -1; // the id of a part that is no token
    struct Part {
        std::string_view text;
        int32_t id;
    };

    void add(std::string_view content, int32_t id); // an empty one is never found
    // Once all are there, before the first split. MODEL with `what` where one is there twice.
    void sort(const std::string & what);

    // The text in order; where two tokens start alike the longest wins. O(n log tokens), whatever
    // the tokens have in common.
    std::vector<Part> split(std::string_view text) const;

private:
    struct Token {
        uint32_t begin, size; // of its text, in texts_
        int32_t id;
        int32_t shorter; // index of the longest token that this one begins with, or -1
    };
    std::string_view text(const Token & token) const {
        return std::string_view(texts_).substr(token.begin, token.size);
    }
    const Token * longest(std::string_view text) const; // at the start of text, or null

    std::string texts_;
    std::deque<Token> tokens_; // by their texts; how many there will be is not known
    std::array<bool, 256> starts_{};
};

} // namespace ltx2
