#include "text/added_tokens.h"

#include "base/error.h"
#include "base/utf8.h"

#include <algorithm>

namespace ltx2 {

void AddedTokens::add(std::string_view content, int32_t id) {
    if (content.empty())
        return;
    starts_[static_cast<uint8_t>(content.front())] = true;
    tokens_.push_back(
        {static_cast<uint32_t>(texts_.size()), static_cast<uint32_t>(content.size()), id, -1});
    texts_ += content;
}

void AddedTokens::sort(const std::string & what) {
    std::sort(tokens_.begin(), tokens_.end(),
              [&](const Token & a, const Token & b) { return text(a) < text(b); });
    const auto twice =
        std::adjacent_find(tokens_.begin(), tokens_.end(),
                           [&](const Token & a, const Token & b) { return text(a) == text(b); });
    if (twice != tokens_.end())
        fail(LTX2_STATUS_MODEL, "%s: %s occurs twice", what.c_str(), shown(text(*twice)).c_str());
    // What a token begins with stands before it, and so does all that begins with that.
    int32_t open = -1; // the last token that the next one may begin with
    for (size_t i = 0; i < tokens_.size(); ++i) {
        const std::string_view own = text(tokens_[i]);
        while (open >= 0 && own.substr(0, tokens_[open].size) != text(tokens_[open]))
            open = tokens_[open].shorter;
        tokens_[i].shorter = open;
        open = static_cast<int32_t>(i);
    }
}

const AddedTokens::Token * AddedTokens::longest(std::string_view given) const {
    if (!starts_[static_cast<uint8_t>(given.front())])
        return nullptr;
    // A token that the text begins with is the last one not after the text, or begins that one too.
    const auto after =
        std::upper_bound(tokens_.begin(), tokens_.end(), given,
                         [&](std::string_view a, const Token & b) { return a < text(b); });
    if (after == tokens_.begin())
        return nullptr;
    const Token * token = &*(after - 1);
    const std::string_view near = text(*token);
    const auto common = static_cast<size_t>(
        std::mismatch(near.begin(), near.end(), given.begin(), given.end()).first - near.begin());
    while (token->size > common) {
        if (token->shorter < 0)
            return nullptr;
        token = &tokens_[static_cast<size_t>(token->shorter)];
    }
    return token;
}

std::vector<AddedTokens::Part> AddedTokens::split(std::string_view given) const {
    std::vector<Part> parts;
    size_t done = 0;
    for (size_t at = 0; at < given.size();) {
        const Token * token = longest(given.substr(at));
        if (!token) {
            ++at;
            continue;
        }
        if (done < at)
            parts.push_back({given.substr(done, at - done), plain});
        parts.push_back({given.substr(at, token->size), token->id});
        done = at += token->size;
    }
    if (done < given.size())
        parts.push_back({given.substr(done), plain});
    return parts;
}

} // namespace ltx2
