#include "text/added_tokens.h"

namespace ltx2 {

void AddedTokens::add(const std::string & content, int32_t id) {
    if (content.empty())
        return;
    uint32_t node = 0;
    for (const char c : content) {
        const uint64_t edge = static_cast<uint64_t>(node) << 8 | static_cast<uint8_t>(c);
        const auto at = edges_.emplace(edge, nodes_);
        if (at.second)
            ++nodes_;
        node = at.first->second;
    }
    starts_[static_cast<uint8_t>(content.front())] = true;
    tokens_.emplace(node, id);
}

AddedTokens::Part AddedTokens::longest(std::string_view text) const {
    Part best = {"", plain};
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
            best = {text.substr(0, i + 1), token->second};
    }
    return best;
}

std::vector<AddedTokens::Part> AddedTokens::split(std::string_view text) const {
    std::vector<Part> parts;
    size_t done = 0;
    for (size_t at = 0; at < text.size();) {
        const Part token = longest(text.substr(at));
        if (token.text.empty()) {
            ++at;
            continue;
        }
        if (done < at)
            parts.push_back({text.substr(done, at - done), plain});
        parts.push_back(token);
        done = at += token.text.size();
    }
    if (done < text.size())
        parts.push_back({text.substr(done), plain});
    return parts;
}

} // namespace ltx2
