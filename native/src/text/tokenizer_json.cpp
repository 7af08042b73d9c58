// The third source: Hugging Face's tokenizer.json. What it can state and Gemma's does not is
// refused by name rather than passed over.
#include "base/error.h"
#include "base/utf8.h"
#include "text/tokenizer.h"
#include "text/tokenizer_parts.h"

#include <limits>
#include <map>
#include <unordered_set>

namespace ltx2 {

namespace {

const Json & need(const Json & object, const char * key, const std::string & what) {
    const Json * found = object.find(key);
    if (!found)
        fail(LTX2_STATUS_MODEL, "%s.%s: missing", what.c_str(), key);
    return *found;
}

// Null where the key is absent or null, which tokenizer.json uses alike.
const Json * optional(const Json & object, const char * key) {
    const Json * found = object.find(key);
    return found && found->kind() != Json::Kind::null ? found : nullptr;
}

bool flag(const Json & object, const char * key, const std::string & what) {
    const Json * found = optional(object, key);
    return found && found->boolean(what + "." + key);
}

const std::string & type_of(const Json & object, const std::string & what) {
    return need(object, "type", what).string(what + ".type");
}

[[noreturn]] void unsupported(const std::string & what, const std::string & value) {
    fail(LTX2_STATUS_MODEL, "%s: %s is not supported; Gemma 3 has none", what.c_str(),
         shown(value).c_str());
}

int32_t id_of(const Json & value, const std::string & what) {
    const int64_t id = value.integer(what);
    if (id < 0 || id >= std::numeric_limits<int32_t>::max())
        fail(LTX2_STATUS_MODEL, "%s: %lld is no token id", what.c_str(),
             static_cast<long long>(id));
    return static_cast<int32_t>(id);
}

// {"String": …}, not empty
const std::string & pattern(const Json & object, const std::string & what) {
    const std::string inside = what + ".pattern";
    const Json & stated = need(object, "pattern", what);
    if (stated.find("Regex"))
        unsupported(inside, "Regex");
    const std::string & text = need(stated, "String", inside).string(inside + ".String");
    if (text.empty())
        fail(LTX2_STATUS_MODEL, "%s: empty", inside.c_str());
    return text;
}

void read_normalizer(const Json & normalizer, const std::string & what, TokenizerParts & parts) {
    const std::string & type = type_of(normalizer, what);
    if (type == "Sequence") {
        const std::string inside = what + ".normalizers";
        for (const Json & each : need(normalizer, "normalizers", what).array(inside))
            read_normalizer(each, inside, parts);
    } else if (type == "Replace") {
        parts.replacements.emplace_back(
            pattern(normalizer, what), need(normalizer, "content", what).string(what + ".content"));
    } else {
        unsupported(what, type);
    }
}

void read_pre_tokenizer(const Json & split, const std::string & what, TokenizerParts & parts) {
    const std::string & type = type_of(split, what);
    if (type != "Split")
        unsupported(what, type);
    const std::string & behavior = need(split, "behavior", what).string(what + ".behavior");
    if (behavior != "MergedWithPrevious")
        unsupported(what + ".behavior", behavior);
    if (flag(split, "invert", what))
        unsupported(what, "invert");
    parts.split_after = pattern(split, what);
}

void read_vocabulary(const Json & model, const std::string & what, TokenizerParts & parts) {
    const std::string inside = what + ".vocab";
    const Json::Object & pieces = need(model, "vocab", what).object(inside);
    parts.bpe.vocabulary.reserve(pieces.size());
    for (const auto & [text, value] : pieces) {
        if (text.size() > longest_piece)
            fail(LTX2_STATUS_MODEL, "%s: %s has %zu bytes; at most %zu", inside.c_str(),
                 shown(text).c_str(), text.size(), longest_piece);
        const int32_t id = id_of(value, inside);
        parts.bpe.vocabulary.emplace(text, id);
        parts.size = std::max(parts.size, static_cast<size_t>(id) + 1);
    }
}

// A pair, or in older files one string with a space between.
std::pair<std::string, std::string> merge_pair(const Json & merge, const std::string & what) {
    if (merge.kind() == Json::Kind::array) {
        const Json::Array & two = merge.array(what);
        if (two.size() != 2)
            fail(LTX2_STATUS_MODEL, "%s: %zu pieces instead of 2", what.c_str(), two.size());
        return {two[0].string(what), two[1].string(what)};
    }
    const std::string & text = merge.string(what);
    const size_t space = text.find(' ');
    if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos)
        fail(LTX2_STATUS_MODEL, "%s: %s is not two pieces", what.c_str(), shown(text).c_str());
    return {text.substr(0, space), text.substr(space + 1)};
}

void read_merges(const Json & model, const std::string & what, Bpe & bpe) {
    const std::string inside = what + ".merges";
    const Json::Array & merges = need(model, "merges", what).array(inside);
    bpe.merges.reserve(merges.size());
    int32_t rank = 0;
    for (const Json & merge : merges) {
        const auto [left, right] = merge_pair(merge, inside);
        const int32_t ids[3] = {bpe.find(left), bpe.find(right), bpe.find(left + right)};
        for (const int32_t id : ids)
            if (id < 0)
                fail(LTX2_STATUS_MODEL, "%s: %s and %s: not in the vocabulary, or not joined",
                     inside.c_str(), shown(left).c_str(), shown(right).c_str());
        bpe.merges[Bpe::pair(ids[0], ids[1])] = {rank++, ids[2]};
    }
}

void read_model(const Json & model, const std::string & what, TokenizerParts & parts) {
    const std::string & type = type_of(model, what);
    if (type != "BPE")
        unsupported(what, type);
    for (const char * key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
        const Json * affix = optional(model, key);
        if (affix && !affix->string(what + "." + key).empty())
            unsupported(what, key);
    }
    const Json * dropout = optional(model, "dropout");
    if (dropout && dropout->number(what + ".dropout") != 0)
        unsupported(what, "dropout");
    read_vocabulary(model, what, parts);
    read_merges(model, what, parts.bpe);
    parts.bpe.fuse_unknown = flag(model, "fuse_unk", what);
    parts.bpe.ignore_merges = flag(model, "ignore_merges", what);
    if (flag(model, "byte_fallback", what))
        parts.bpe.use_byte_fallback();
    if (const Json * unknown = optional(model, "unk_token")) {
        const std::string & text = unknown->string(what + ".unk_token");
        parts.bpe.unknown = parts.bpe.find(text);
        if (parts.bpe.unknown < 0)
            fail(LTX2_STATUS_MODEL, "%s.unk_token: %s is not in the vocabulary", what.c_str(),
                 shown(text).c_str());
    }
}

void read_added_tokens(const Json & tokens, const std::string & what, TokenizerParts & parts) {
    std::unordered_set<std::string> seen;
    for (const Json & each : tokens.array(what)) {
        const std::string & content = need(each, "content", what).string(what + ".content");
        const int32_t id = id_of(need(each, "id", what), what + ".id");
        const int32_t known = parts.bpe.find(content);
        if (known >= 0 && known != id)
            fail(LTX2_STATUS_MODEL, "%s: %s is %d here and %d in the vocabulary", what.c_str(),
                 shown(content).c_str(), id, known);
        if (content.size() > longest_piece || !seen.insert(content).second)
            fail(LTX2_STATUS_MODEL, "%s: %s occurs twice, or has over %zu bytes", what.c_str(),
                 shown(content).c_str(), longest_piece);
        for (const char * rule : {"single_word", "lstrip", "rstrip", "normalized"})
            if (flag(each, rule, what))
                unsupported(what + "." + rule, content);
        parts.size = std::max(parts.size, static_cast<size_t>(id) + 1);
        if (content == "<bos>")
            parts.bos = id;
        parts.added.add(content, id);
    }
}

bool is_byte_token(const std::string & text) {
    const auto hex = [&](size_t i) {
        return (text[i] >= '0' && text[i] <= '9') || (text[i] >= 'A' && text[i] <= 'F');
    };
    return text.size() == 6 && text.compare(0, 3, "<0x") == 0 && hex(3) && hex(4) && text[5] == '>';
}

// By id: text and type. What is neither added nor a byte is joined from its neighbours.
std::vector<ScoredPiece> typed_pieces(const Json & json, const TokenizerParts & parts,
                                      const std::string & path) {
    std::map<int32_t, ScoredPiece> by_id; // no id of a damaged file becomes a size
    for (const auto & [text, id] : parts.bpe.vocabulary)
        by_id[id] = {text, 0, is_byte_token(text) ? byte_piece : normal};
    if (const Json * added = optional(json, "added_tokens"))
        for (const Json & each : added->array(path)) {
            const int type = flag(each, "special", path) ? control : user_defined;
            by_id[id_of(need(each, "id", path), path)] = {need(each, "content", path).string(path),
                                                          0, type};
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
// GGUF files have. A list in which a token's pairs stand apart cannot be said so.
std::vector<ScoredPiece> scored_pieces(const Json & json, const TokenizerParts & parts,
                                       const std::string & path) {
    std::vector<ScoredPiece> pieces = typed_pieces(json, parts, path);
    if (parts.replacements != TokenizerParts::spaces_marked())
        fail(LTX2_STATUS_MODEL, "%s: normalizer: is not Gemma 3's, which is all a GGUF can state",
             path.c_str());
    std::vector<bool> placed(pieces.size());
    size_t places = 0;
    int32_t last = -1;
    const std::string what = path + ": model.merges";
    for (const Json & merge : json.find("model")->find("merges")->array(what)) {
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

} // namespace

Tokenizer Tokenizer::from_json(const Json & json, const std::string & path,
                               std::vector<ScoredPiece> * pieces) {
    TokenizerParts parts;
    const auto at = [&](const char * key) { return path + ": " + key; };
    read_model(need(json, "model", path), at("model"), parts);
    if (const Json * normalizer = optional(json, "normalizer"))
        read_normalizer(*normalizer, at("normalizer"), parts);
    if (const Json * split = optional(json, "pre_tokenizer"))
        read_pre_tokenizer(*split, at("pre_tokenizer"), parts);
    parts.bos = parts.bpe.find("<bos>");
    if (const Json * added = optional(json, "added_tokens"))
        read_added_tokens(*added, at("added_tokens"), parts);
    // The post-processor is not read: transformers replaces Gemma's by <bos> before the text.
    if (parts.bos < 0)
        fail(LTX2_STATUS_MODEL, "%s: no token <bos>; not Gemma's", path.c_str());
    if (pieces)
        *pieces = scored_pieces(json, parts, path);
    return Tokenizer(std::make_shared<const TokenizerParts>(std::move(parts)));
}

} // namespace ltx2
