// The two sources that keep a score a piece: the metadata of a GGUF file, and SentencePiece's
// tokenizer.model. Both become what Hugging Face's conversion makes of them.
#include "error.h"
#include "text.h"
#include "tokenizer.h"
#include "tokenizer_parts.h"
#include "wire.h"

#include <cmath>

namespace ltx2 {

namespace {

enum PieceType { normal = 1, unknown_piece, control, user_defined, unused, byte_piece };

constexpr const char * space_mark = "\xE2\x96\x81"; // U+2581

std::string with_space_marks(const std::string & text) {
    std::string out;
    for (const char c : text)
        c == ' ' ? out += space_mark : out += c;
    return out;
}

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

TokenizerParts parts_of_pieces(const std::vector<ScoredPiece> & pieces, int64_t bos,
                               int64_t unknown, const std::string & what) {
    TokenizerParts parts;
    parts.replacements = {{" ", space_mark}};
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
        const bool whole = piece.type == unknown_piece || piece.type == control ||
                           piece.type == user_defined;
        if (whole)
            parts.raw.add({piece.text, static_cast<int32_t>(id)});
        // SentencePiece gives such pieces 0, the best score; llama.cpp writes -1000 over it.
        scores[id] = whole ? 0.0f : piece.score;
    }
    parts.bpe.rank_by_score(texts, scores);
    return parts;
}

// ---- GGUF

static const Json & entry(const Json & metadata, const std::string & key, const std::string & path) {
    const Json * found = metadata.find("tokenizer.ggml." + key);
    if (!found)
        fail(LTX2_STATUS_MODEL, "%s: tokenizer.ggml.%s: missing", path.c_str(), key.c_str());
    return *found;
}

// Gemma 3 is one setting of what llama.cpp can do; another one would give other tokens.
static void require_flag(const Json & metadata, const char * key, bool value,
                         const std::string & path) {
    const std::string name = std::string("tokenizer.ggml.") + key;
    const Json * found = metadata.find(name);
    if (found && found->boolean(path + ": " + name) != value)
        fail(LTX2_STATUS_MODEL, "%s: %s: %s; Gemma 3 has %s", path.c_str(), name.c_str(),
             value ? "false" : "true", value ? "true" : "false");
}

Tokenizer Tokenizer::from_gguf(const Json & metadata, const std::string & path) {
    const std::string what = path + ": tokenizer.ggml.";
    const std::string & model = entry(metadata, "model", path).string(what + "model");
    if (model != "llama")
        fail(LTX2_STATUS_MODEL, "%smodel: %s is not supported; Gemma 3 has \"llama\"",
             what.c_str(), shown(model).c_str());
    require_flag(metadata, "add_bos_token", true, path);
    require_flag(metadata, "add_eos_token", false, path);
    require_flag(metadata, "add_space_prefix", false, path);
    require_flag(metadata, "remove_extra_whitespaces", false, path);

    const Json::Array & tokens = entry(metadata, "tokens", path).array(what + "tokens");
    const Json::Array & scores = entry(metadata, "scores", path).array(what + "scores");
    const Json::Array & types = entry(metadata, "token_type", path).array(what + "token_type");
    if (scores.size() != tokens.size() || types.size() != tokens.size())
        fail(LTX2_STATUS_MODEL, "%stokens: %zu, but %zu scores and %zu types", what.c_str(),
             tokens.size(), scores.size(), types.size());
    std::vector<ScoredPiece> pieces(tokens.size());
    for (size_t i = 0; i < pieces.size(); ++i) {
        // llama.cpp keeps runs of U+2581 as plain spaces.
        pieces[i].text = with_space_marks(tokens[i].string(what + "tokens"));
        pieces[i].score = static_cast<float>(scores[i].number(what + "scores"));
        const int64_t type = types[i].integer(what + "token_type");
        pieces[i].type = type < normal || type > byte_piece ? 0 : static_cast<int>(type);
    }
    const int64_t bos = entry(metadata, "bos_token_id", path).integer(what + "bos_token_id");
    const int64_t unknown =
        entry(metadata, "unknown_token_id", path).integer(what + "unknown_token_id");
    TokenizerParts parts = parts_of_pieces(pieces, bos, unknown, path + ": tokenizer");
    parts.bpe.use_byte_fallback();
    return Tokenizer(std::make_shared<const TokenizerParts>(std::move(parts)));
}

// ---- SentencePiece: ModelProto of sentencepiece_model.proto, the fields that bear on encoding

static ScoredPiece read_piece(std::string_view bytes, const std::string & what) {
    ScoredPiece piece;
    for (Wire wire(bytes, what); wire.next();) {
        if (wire.field() == 1)
            piece.text = wire.text();
        else if (wire.field() == 2)
            piece.score = wire.number();
        else if (wire.field() == 3)
            piece.type = static_cast<int>(std::min<uint64_t>(wire.integer(), 0xFF));
    }
    return piece;
}

struct Trained { // TrainerSpec, with its defaults
    uint64_t model_type = 1;
    bool byte_fallback = false;
    int64_t unknown = 0, bos = 1;
};

static Trained read_trained(std::string_view bytes, const std::string & what) {
    Trained trained;
    for (Wire wire(bytes, what + ": trainer_spec"); wire.next();) {
        if (wire.field() == 3)
            trained.model_type = wire.integer();
        else if (wire.field() == 24 && wire.integer())
            fail(LTX2_STATUS_MODEL, "%s: treat_whitespace_as_suffix is not supported",
                 what.c_str());
        else if (wire.field() == 35)
            trained.byte_fallback = wire.integer() != 0;
        else if (wire.field() == 40)
            trained.unknown = static_cast<int64_t>(wire.integer());
        else if (wire.field() == 41)
            trained.bos = static_cast<int64_t>(wire.integer());
    }
    return trained;
}

// Gemma's text is taken as it is: nothing normalised, no space put before it.
static void check_normalizer(std::string_view bytes, const std::string & what) {
    bool charsmap = false, prefix = true, squeeze = true, escape = true;
    for (Wire wire(bytes, what + ": normalizer_spec"); wire.next();) {
        if (wire.field() == 2)
            charsmap = !wire.text().empty();
        else if (wire.field() == 3)
            prefix = wire.integer() != 0;
        else if (wire.field() == 4)
            squeeze = wire.integer() != 0;
        else if (wire.field() == 5)
            escape = wire.integer() != 0;
    }
    const char * wrong = charsmap   ? "a precompiled_charsmap"
                         : prefix   ? "add_dummy_prefix"
                         : squeeze  ? "remove_extra_whitespaces"
                         : !escape  ? "escape_whitespaces off"
                                    : nullptr;
    if (wrong)
        fail(LTX2_STATUS_MODEL, "%s: normalizer_spec: %s is not supported; Gemma 3 has none",
             what.c_str(), wrong);
}

Tokenizer Tokenizer::from_sentencepiece(std::string_view bytes, const std::string & path) {
    std::vector<ScoredPiece> pieces;
    std::string_view trainer, normalizer;
    for (Wire wire(bytes, path); wire.next();) {
        if (wire.field() == 1)
            pieces.push_back(
                read_piece(wire.text(), path + ": piece " + std::to_string(pieces.size())));
        else if (wire.field() == 2)
            trainer = wire.text();
        else if (wire.field() == 3)
            normalizer = wire.text();
    }
    const Trained trained = read_trained(trainer, path);
    if (trained.model_type != 2)
        fail(LTX2_STATUS_MODEL, "%s: model_type %llu is not supported; Gemma 3 has 2, BPE",
             path.c_str(), static_cast<unsigned long long>(trained.model_type));
    check_normalizer(normalizer, path);
    TokenizerParts parts = parts_of_pieces(pieces, trained.bos, trained.unknown, path);
    if (trained.byte_fallback)
        parts.bpe.use_byte_fallback();
    return Tokenizer(std::make_shared<const TokenizerParts>(std::move(parts)));
}

} // namespace ltx2
