#include "text/added_tokens.h"

#include "text/unicode.h"

#include <algorithm>

namespace ltx2 {

void AddedTokens::add(AddedToken token) {
    if (token.content.empty())
        return;
    uint32_t node = 0;
    for (const char c : token.content) {
        const uint64_t edge = static_cast<uint64_t>(node) << 8 | static_cast<uint8_t>(c);
        const auto at = edges_.emplace(edge, nodes_);
        if (at.second)
            ++nodes_;
        node = at.first->second;
    }
    starts_[static_cast<uint8_t>(token.content.front())] = true;
    tokens_.emplace(node, std::move(token));
}

AddedTokens::Match AddedTokens::longest(std::string_view text) const {
    Match best = {0, nullptr};
    if (!starts_[static_cast<uint8_t>(text.front())])
        return best;
    uint32_t node = 0;
    for (size_t i = 0; i < text.size(); ++i) {
        const auto edge =
            edges_.find(static_cast<uint64_t>(node) << 8 | static_cast<uint8_t>(text[i]));
        if (edge == edges_.end())
            break;
        node = edge->second;
        const auto token = tokens_.find(node);
        if (token != tokens_.end())
            best = {i + 1, &token->second};
    }
    return best;
}

static bool stands_alone(std::string_view before, std::string_view after) {
    return (before.empty() || !is_word(last_character(before))) &&
           (after.empty() || !is_word(first_character(after)));
}

std::vector<AddedTokens::Part> AddedTokens::split(std::string_view text) const {
    std::vector<Part> parts;
    size_t done = 0;
    for (size_t at = 0; at < text.size();) {
        const Match match = longest(text.substr(at));
        if (!match.token) {
            ++at;
            continue;
        }
        size_t begin = at, end = at + match.size;
        // The search goes on behind the token itself, not behind the spaces it takes: a token that
        // begins with spaces is found there once more, as in Hugging Face's.
        at = end;
        const std::string_view before = text.substr(0, begin), after = text.substr(end);
        if (match.token->single_word && !stands_alone(before, after))
            continue;
        if (match.token->lstrip)
            begin = std::max(without_end(before, is_space).size(), done);
        if (match.token->rstrip)
            end = text.size() - without_start(after, is_space).size();
        if (done < begin)
            parts.push_back({text.substr(done, begin - done), plain});
        if (begin < end)
            parts.push_back({text.substr(begin, end - begin), match.token->id});
        done = end;
    }
    if (done < text.size())
        parts.push_back({text.substr(done), plain});
    return parts;
}

} // namespace ltx2
