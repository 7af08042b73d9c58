// The first source: the metadata of a GGUF file, as llama.cpp writes it; read and written.
#include "files/config.h"
#include "text/tokenizer.h"
#include "text/tokenizer_parts.h"

namespace ltx2 {

namespace {

constexpr const char * prefix = "tokenizer.ggml.";

// Gemma 3 is one setting of what llama.cpp can do; another one would give other tokens.
constexpr std::pair<const char *, bool> flags[] = {
    {"add_bos_token", true}, {"add_eos_token", false}, {"add_space_prefix", false}};

// What is no type of a piece becomes one that is refused.
int piece_type(int64_t number) {
    return number < normal || number > byte_piece ? 0 : static_cast<int>(number);
}

void read_merges(const Config & k, Bpe & bpe, GgufVocabulary * out) {
    const std::string what = k.what("merges");
    std::vector<Bpe::Merge> list;
    for (const Json & merge : k.array("merges")) {
        const auto [left, right] = two_pieces(merge.string(what), what);
        add_merge(bpe, left, right, what, list);
        if (out)
            out->merges.emplace_back(merge.string(what));
    }
    bpe.scores.clear();
    bpe.set_merges(std::move(list));
}

} // namespace

Tokenizer Tokenizer::from_gguf(const Json & metadata, const std::string & path,
                               GgufVocabulary * out) {
    const Config k(metadata, path + ": ", prefix);
    const bool ranked = k.text("model", "") == "gemma4"; // pairs join in the order of a list
    if (!ranked)
        k.require("model", "llama");
    for (const auto & [key, value] : flags)
        k.require_flag(key, value, value);
    k.require_flag("remove_extra_whitespaces", false, false);

    const Json::Array tokens = k.array("tokens"), types = k.array("token_type"),
                      scores = ranked ? types : k.array("scores");
    const std::string text_of = k.what("tokens"), score_of = k.what("scores"),
                      type_of = k.what("token_type");
    size_t count = 0, bytes = 0;
    for (const Json & token : tokens)
        ++count, bytes += token.string(text_of).size();
    if (scores.size() != count || types.size() != count)
        k.refuse("tokens",
                 words("%zu, but %zu scores and %zu types", count, scores.size(), types.size()));
    ScoredParts all(count, bytes, path + ": tokenizer");
    if (out)
        out->pieces.reserve(count);
    auto score = scores.begin(), type = types.begin();
    for (const Json & token : tokens) {
        // llama.cpp keeps runs of U+2581 as plain spaces.
        const ScoredPiece piece = {replace_all(token.string(text_of), " ", space_mark),
                                   ranked ? 0 : static_cast<float>((*score).number(score_of)),
                                   piece_type((*type).integer(type_of))};
        all.add(piece);
        if (out)
            out->pieces.push_back(piece);
        ++score, ++type;
    }
    TokenizerParts parts = all.finish(k.integer("bos_token_id", INT32_MIN, INT32_MAX),
                                      k.integer("unknown_token_id", INT32_MIN, INT32_MAX));
    parts.bpe.use_byte_fallback();
    if (ranked)
        read_merges(k, parts.bpe, out);
    return Tokenizer(std::move(parts));
}

static void fit(std::vector<ScoredPiece> & pieces, size_t rows, const std::string & what) {
    for (size_t id = rows; id < pieces.size(); ++id)
        if (pieces[id].type != control && pieces[id].type != unused)
            fail(LTX2_STATUS_MODEL, "%s: %zu tokens for %zu rows of embedding", what.c_str(),
                 pieces.size(), rows);
    while (pieces.size() < rows)
        pieces.push_back({"[PAD" + std::to_string(pieces.size()) + "]", 0, unused});
    pieces.resize(rows);
}

static Json id_of(const char * token, const std::vector<ScoredPiece> & pieces,
                  const std::string & what) {
    for (size_t id = 0; id < pieces.size(); ++id)
        if (pieces[id].text == token)
            return id;
    fail(LTX2_STATUS_MODEL, "%s: has no token %s", what.c_str(), token);
}

void put_gguf_keys(GgufVocabulary vocabulary, size_t rows, const std::string & what,
                   Json & metadata) {
    std::vector<ScoredPiece> & pieces = vocabulary.pieces;
    const bool ranked = !vocabulary.merges.empty();
    fit(pieces, rows, what);
    Json::Array tokens, scores, types;
    for (const ScoredPiece & piece : pieces) {
        // llama.cpp's score of what no joining makes, and its spelling of what is matched whole.
        const float score = piece.type == normal       ? piece.score
                            : piece.type == byte_piece ? 0
                                                       : -1000;
        const bool whole = piece.type == user_defined;
        tokens.push_back(whole ? replace_all(piece.text, space_mark, " ") : piece.text);
        scores.push_back(double{score});
        types.push_back(piece.type);
    }
    const auto put = [&](const char * key, Json value) {
        metadata.set(std::string(prefix) + key, std::move(value));
    };
    put("model", ranked ? "gemma4" : "llama");
    put("pre", ranked ? "gemma4" : "default");
    put("tokens", std::move(tokens));
    put("scores", std::move(scores));
    put("token_type", std::move(types));
    if (ranked)
        put("merges", Json::Array(vocabulary.merges.begin(), vocabulary.merges.end()));
    put("bos_token_id", id_of("<bos>", pieces, what));
    put("eos_token_id", id_of("<eos>", pieces, what));
    put("unknown_token_id", id_of("<unk>", pieces, what));
    put("padding_token_id", id_of("<pad>", pieces, what));
    for (const auto & [key, value] : flags)
        put(key, value);
}

} // namespace ltx2
