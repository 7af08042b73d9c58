// The third source: Hugging Face's tokenizer.json. What it can state and Gemma's does not is
// refused by name, not ignored.
#include "base/utf8.h"
#include "files/config.h"
#include "text/tokenizer.h"
#include "text/tokenizer_parts.h"

#include <map>

namespace ltx2 {

namespace {

constexpr const char * not_gemma = "is not supported; Gemma 3 has none";

// {"String": …}, not empty
std::string pattern(const Config & k) {
    const Config inside = k.at("pattern");
    if (inside.find("Regex"))
        inside.refuse("Regex", not_gemma);
    std::string text = inside.text("String");
    if (text.empty() || text.size() > longest_piece)
        inside.refuse("String", words("is empty, or has over %zu bytes", longest_piece));
    return text;
}

void read_normalizer(const Config & k, TokenizerParts & parts) {
    if (k.text("type") == "Sequence") {
        for (const Json & item : k.array("normalizers"))
            read_normalizer(Config(item, k.what("normalizers") + "."), parts);
        return;
    }
    k.require("type", "Replace");
    parts.replacements.emplace_back(pattern(k), k.text("content"));
    const size_t most = 16; // each goes over the whole prompt
    if (parts.replacements.size() > most)
        k.refuse("type", words("there are over %zu replacements", most));
    if (parts.replacements.back().second.size() > longest_piece)
        k.refuse("content", words("has over %zu bytes", longest_piece));
}

void read_pre_tokenizer(const Config & k, TokenizerParts & parts) {
    k.require("type", "Split");
    k.require("behavior", "MergedWithPrevious");
    k.require_flag("invert", false, false);
    parts.split_after = pattern(k);
}

void read_vocabulary(const Config & model, TokenizerParts & parts) {
    const std::string what = model.what("vocab");
    const Json::Object pieces = model.object("vocab");
    size_t count = 0, bytes = 0;
    for (const auto & [text, value] : pieces)
        ++count, bytes += text.size();
    parts.bpe.vocabulary.reserve(count, bytes);
    for (const auto & [text, value] : pieces) {
        if (text.size() > longest_piece)
            fail(LTX2_STATUS_MODEL, "%s: %s has %zu bytes; at most %zu", what.c_str(),
                 shown(text).c_str(), text.size(), longest_piece);
        const int64_t id = value.integer(what);
        if (id < 0 || id >= INT32_MAX)
            fail(LTX2_STATUS_MODEL, "%s: %lld is not a token id", what.c_str(),
                 static_cast<long long>(id));
        parts.bpe.vocabulary.add(text, static_cast<int32_t>(id));
        parts.size = std::max(parts.size, static_cast<size_t>(id) + 1);
    }
}

// A pair, or in older files one string with a space between.
std::pair<std::string, std::string> merge_pair(const Json & merge, const std::string & what) {
    if (merge.kind() == Json::Kind::array) {
        std::pair<std::string, std::string> two;
        size_t count = 0;
        for (const Json & piece : merge.array(what))
            if (++count <= 2)
                (count == 1 ? two.first : two.second) = piece.string(what);
        if (count != 2)
            fail(LTX2_STATUS_MODEL, "%s: %zu pieces instead of 2", what.c_str(), count);
        return two;
    }
    return two_pieces(merge.string(what), what);
}

void read_merges(const Config & model, Bpe & bpe) {
    const std::string what = model.what("merges");
    const Json::Array merges = model.array("merges");
    std::vector<Bpe::Merge> list;
    list.reserve(merges.size());
    for (const Json & merge : merges) {
        const auto [left, right] = merge_pair(merge, what);
        add_merge(bpe, left, right, what, list);
    }
    bpe.set_merges(std::move(list));
}

void read_model(const Config & k, TokenizerParts & parts) {
    k.require("type", "BPE");
    for (const char * key : {"continuing_subword_prefix", "end_of_word_suffix"})
        if (!k.text(key, "").empty())
            k.refuse(key, not_gemma);
    if (k.number("dropout", 0, 0, 1) != 0)
        k.refuse("dropout", not_gemma);
    read_vocabulary(k, parts);
    read_merges(k, parts.bpe);
    parts.bpe.fuse_unknown = k.flag("fuse_unk", false);
    parts.bpe.ignore_merges = k.flag("ignore_merges", false);
    if (k.flag("byte_fallback", false))
        parts.bpe.use_byte_fallback();
    if (!k.find("unk_token"))
        return;
    parts.bpe.unknown = parts.bpe.find(k.text("unk_token"));
    if (parts.bpe.unknown < 0)
        k.refuse("unk_token", shown(k.text("unk_token")) + " is not in the vocabulary");
}

using PieceById = std::map<int32_t, ScoredPiece>; // no id of a damaged file becomes a size

// `pieces`, where given, gets the tokens as they are listed, too.
void read_added_tokens(const Config & whole, TokenizerParts & parts, PieceById * pieces) {
    const std::string what = whole.what("added_tokens");
    for (const Json & token : whole.array("added_tokens")) {
        const Config k(token, what + ".");
        const std::string content = k.text("content");
        const int32_t id = k.integer("id", 0, INT32_MAX - 1), known = parts.bpe.find(content);
        if (known >= 0 && known != id)
            fail(LTX2_STATUS_MODEL, "%s: %s is %d here and %d in the vocabulary", what.c_str(),
                 shown(content).c_str(), id, known);
        if (content.size() > longest_piece)
            fail(LTX2_STATUS_MODEL, "%s: %s has over %zu bytes", what.c_str(),
                 shown(content).c_str(), longest_piece);
        for (const char * rule : {"single_word", "lstrip", "rstrip", "normalized"})
            if (k.flag(rule, false))
                k.refuse(rule, shown(content) + " " + not_gemma);
        parts.size = std::max(parts.size, static_cast<size_t>(id) + 1);
        if (content == "<bos>")
            parts.bos = id;
        parts.added.add(content, id);
        if (pieces)
            (*pieces)[id] = {content, 0, k.flag("special", false) ? control : user_defined};
    }
}

bool is_byte_token(const std::string & text) {
    const auto hex = [&](size_t i) {
        return (text[i] >= '0' && text[i] <= '9') || (text[i] >= 'A' && text[i] <= 'F');
    };
    return text.size() == 6 && text.compare(0, 3, "<0x") == 0 && hex(3) && hex(4) && text[5] == '>';
}

// By id: text and type. What is neither added nor a byte is joined from its neighbours.
std::vector<ScoredPiece> typed_pieces(PieceById by_id, const TokenizerParts & parts,
                                      const std::string & path) {
    for (size_t i = 0; i < parts.bpe.vocabulary.size(); ++i) {
        const std::string text(parts.bpe.vocabulary.text(i));
        by_id.insert(
            {parts.bpe.vocabulary.id(i), {text, 0, is_byte_token(text) ? byte_piece : normal}});
    }
    if (parts.bpe.unknown >= 0)
        by_id[parts.bpe.unknown].type = unknown_piece;
    if (by_id.size() != parts.size)
        fail(LTX2_STATUS_MODEL, "%s: its token ids are not 0 to %zu, each once", path.c_str(),
             parts.size - 1);
    std::vector<ScoredPiece> pieces;
    for (auto & [id, piece] : by_id)
        pieces.push_back(std::move(piece));
    return pieces;
}

// A GGUF's tokenizer joins, again and again, the two neighbours whose joined token has the highest
// score; tokenizer.json lists pairs by rank. So a token's score is minus its place among the tokens
// by their first pair: the same pair wins. For Gemma's own file these are the scores its published
// GGUF files have. Where other pairs stand between a token's own, no scores do it.
std::vector<ScoredPiece> scored_pieces(std::vector<ScoredPiece> pieces, const Json::Array & merges,
                                       const TokenizerParts & parts, const std::string & path) {
    std::vector<bool> placed(pieces.size());
    size_t places = 0;
    int32_t last = -1;
    const std::string what = path + ": model.merges";
    for (const Json & merge : merges) {
        const auto [left, right] = merge_pair(merge, what);
        const int32_t id = parts.bpe.find(left + right);
        const auto at = static_cast<size_t>(id);
        if (id == last || pieces[at].type != normal)
            continue;
        if (placed[at])
            fail(LTX2_STATUS_MODEL, "%s: the pairs of %s do not stand together", what.c_str(),
                 shown(pieces[at].text).c_str());
        pieces[at].score = -static_cast<float>(places++);
        placed[at] = true;
        last = id;
    }
    for (size_t id = 0; id < pieces.size(); ++id)
        if (!placed[id]) // a character by itself
            pieces[id].score = -static_cast<float>(places);
    return pieces;
}

// The vocabulary as a GGUF states it.
GgufVocabulary stated(std::vector<ScoredPiece> pieces, const Json::Array & merges,
                      const TokenizerParts & parts, const std::string & path) {
    if (parts.replacements != TokenizerParts::spaces_marked())
        fail(LTX2_STATUS_MODEL, "%s: normalizer: is not Gemma's, which is all a GGUF can state",
             path.c_str());
    if (!parts.is_gemma4())
        return {scored_pieces(std::move(pieces), merges, parts, path), {}};
    GgufVocabulary out{std::move(pieces), {}};
    const std::string what = path + ": model.merges";
    for (const Json & merge : merges) {
        const auto [left, right] = merge_pair(merge, what);
        out.merges.push_back(left + " " + right);
        two_pieces(out.merges.back(), what);
    }
    return out;
}

} // namespace

Tokenizer Tokenizer::from_json(const Json & json, const std::string & path,
                               GgufVocabulary * vocabulary) {
    TokenizerParts parts;
    const Config whole(json, path + ": "), model = whole.at("model");
    read_model(model, parts);
    if (whole.find("normalizer"))
        read_normalizer(whole.at("normalizer"), parts);
    if (whole.find("pre_tokenizer"))
        read_pre_tokenizer(whole.at("pre_tokenizer"), parts);
    parts.bos = parts.bpe.find("<bos>");
    PieceById added;
    if (whole.find("added_tokens"))
        read_added_tokens(whole, parts, vocabulary ? &added : nullptr);
    parts.added.sort(path + ": added_tokens");
    // The post-processor is not read: transformers replaces Gemma's by <bos> before the text.
    if (parts.bos < 0)
        fail(LTX2_STATUS_MODEL, "%s: no token <bos>; not Gemma's", path.c_str());
    if (vocabulary)
        *vocabulary =
            stated(typed_pieces(std::move(added), parts, path), model.array("merges"), parts, path);
    return Tokenizer(std::move(parts));
}

} // namespace ltx2
