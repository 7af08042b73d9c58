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

TokenizerParts parts_of_pieces(const std::vector<ScoredPiece> & pieces, int64_t bos,
                               int64_t unknown, const std::string & what) {
    TokenizerParts parts;
    parts.replacements = TokenizerParts::spaces_marked();
    parts.size = pieces.size();
    parts.bos = checked_id(bos, pieces.size(), "the id of <bos>", what);
    parts.bpe.unknown = checked_id(unknown, pieces.size(), "the id of <unk>", what);
    parts.bpe.fuse_unknown = true;
    std::vector<std::string> texts(pieces.size());
    std::vector<float> scores(pieces.size());
    parts.bpe.vocabulary.reserve(pieces.size());
    for (size_t id = 0; id < pieces.size(); ++id) {
        const ScoredPiece & piece = pieces[id];
        check_piece(piece, id, what);
        if (piece.type == unused)
            continue;
        texts[id] = piece.text;
        if (!parts.bpe.vocabulary.emplace(piece.text, static_cast<int32_t>(id)).second)
            fail(LTX2_STATUS_MODEL, "%s: piece %zu, %s, occurs before", what.c_str(), id,
                 shown(piece.text).c_str());
        const bool whole =
            piece.type == unknown_piece || piece.type == control || piece.type == user_defined;
        if (whole)
            parts.added.add(piece.text, static_cast<int32_t>(id));
        // SentencePiece gives such pieces 0, the best score; llama.cpp writes -1000 over it.
        scores[id] = whole ? 0.0f : piece.score;
    }
    parts.bpe.rank_by_score(texts, scores);
    return parts;
}

} // namespace ltx2
