#include "text/tokenizer_parts.h"

#include "base/error.h"
#include "base/utf8.h"

#include <cmath>

namespace ltx2 {

std::string replace_all(std::string_view text, const std::string & from, const std::string & to) {
    std::string out;
    for (size_t at = 0;;) {
        const size_t found = text.find(from, at);
        out.append(text.substr(at, found - at));
        if (found == std::string_view::npos)
            return out;
        out.append(to);
        at = found + from.size();
        // A file may state replacements that grow the text again and again.
        if (out.size() > 16 * longest_prompt)
            fail(LTX2_STATUS_MODEL, "tokenizer: its replacements make the prompt over %zu bytes",
                 16 * longest_prompt);
    }
}

namespace {

void check_piece(const ScoredPiece & piece, size_t id, const std::string & what) {
    if (piece.text.empty() && piece.type != unused)
        fail(LTX2_STATUS_MODEL, "%s: piece %zu is empty", what.c_str(), id);
    if (piece.text.size() > longest_piece)
        fail(LTX2_STATUS_MODEL, "%s: piece %zu has %zu bytes; at most %zu", what.c_str(), id,
             piece.text.size(), longest_piece);
    if (piece.type < normal || piece.type > byte_piece)
        fail(LTX2_STATUS_MODEL, "%s: piece %zu is of type %d; 1 to 6 are known", what.c_str(), id,
             piece.type);
    if (!std::isfinite(piece.score))
        fail(LTX2_STATUS_MODEL, "%s: the score of piece %zu is not finite", what.c_str(), id);
    require_utf8(piece.text, LTX2_STATUS_MODEL, what + ": piece " + std::to_string(id));
}

int32_t checked_id(int64_t id, size_t size, const char * name, const std::string & what) {
    if (id < 0 || static_cast<uint64_t>(id) >= size)
        fail(LTX2_STATUS_MODEL, "%s: %s is %lld, and there are %zu pieces", what.c_str(), name,
             static_cast<long long>(id), size);
    return static_cast<int32_t>(id);
}

} // namespace

void require_utf8(std::string_view text, ltx2_status status, const std::string & what) {
    const size_t bad = utf8_error(text);
    if (bad != std::string_view::npos)
        fail(status, "%s: not UTF-8 at byte %zu", what.c_str(), bad);
}

std::string TokenizerParts::normalize(std::string_view text) const {
    std::string out(text);
    for (const auto & [from, to] : replacements)
        out = replace_all(out, from, to);
    return out;
}

int32_t TokenizerParts::added_token(std::string_view text) const {
    const std::vector<AddedTokens::Part> parts = added.split(text);
    return parts.size() == 1 ? parts.front().id : AddedTokens::plain;
}

std::pair<std::string, std::string> two_pieces(std::string_view merge, const std::string & what) {
    const size_t space = merge.find(' ');
    if (space == std::string::npos || merge.find(' ', space + 1) != std::string::npos)
        fail(LTX2_STATUS_MODEL, "%s: %s is not two pieces", what.c_str(), shown(merge).c_str());
    return {std::string(merge.substr(0, space)), std::string(merge.substr(space + 1))};
}

void add_merge(const Bpe & bpe, const std::string & left, const std::string & right,
               const std::string & what, std::vector<Bpe::Merge> & list) {
    const int32_t rank = static_cast<int32_t>(list.size());
    list.push_back({bpe.find(left), bpe.find(right), rank, bpe.find(left + right)});
    for (const int32_t id : {list.back().left, list.back().right, list.back().id})
        if (id < 0)
            fail(LTX2_STATUS_MODEL, "%s: %s and %s: not in the vocabulary, or not joined",
                 what.c_str(), shown(left).c_str(), shown(right).c_str());
}

ScoredParts::ScoredParts(size_t pieces, size_t bytes, std::string what) : what_(std::move(what)) {
    parts_.replacements = TokenizerParts::spaces_marked();
    parts_.bpe.fuse_unknown = true;
    parts_.bpe.vocabulary.reserve(pieces, bytes);
    parts_.bpe.scores.reserve(pieces);
}

void ScoredParts::add(const ScoredPiece & piece) {
    const size_t id = parts_.size++;
    check_piece(piece, id, what_);
    const bool whole =
        piece.type == unknown_piece || piece.type == control || piece.type == user_defined;
    // SentencePiece gives such pieces 0, the best score; llama.cpp writes -1000 over it.
    parts_.bpe.scores.push_back(whole ? 0.0f : piece.score);
    if (piece.type == unused)
        return parts_.bpe.vocabulary.add_unfound(static_cast<int32_t>(id));
    if (!parts_.bpe.vocabulary.add(piece.text, static_cast<int32_t>(id)))
        fail(LTX2_STATUS_MODEL, "%s: piece %zu, %s, occurs before", what_.c_str(), id,
             shown(piece.text).c_str());
    if (whole)
        parts_.added.add(piece.text, static_cast<int32_t>(id));
}

TokenizerParts ScoredParts::finish(int64_t bos, int64_t unknown) {
    parts_.bos = checked_id(bos, parts_.size, "the id of <bos>", what_);
    parts_.bpe.unknown = checked_id(unknown, parts_.size, "the id of <unk>", what_);
    parts_.added.sort(what_);
    return std::move(parts_);
}

} // namespace ltx2
