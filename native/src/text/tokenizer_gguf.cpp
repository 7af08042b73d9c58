// The first source: the metadata of a GGUF file, as llama.cpp writes it; read, and stated anew.
#include "base/error.h"
#include "base/utf8.h"
#include "text/tokenizer.h"
#include "text/tokenizer_parts.h"

namespace ltx2 {

namespace {

std::string with_space_marks(const std::string & text) {
    std::string out;
    for (const char c : text)
        c == ' ' ? out += space_mark : out += c;
    return out;
}

std::string without_space_marks(std::string text) {
    const std::string mark = space_mark;
    for (size_t at = 0; (at = text.find(mark, at)) != std::string::npos; ++at)
        text.replace(at, mark.size(), " ");
    return text;
}

const Json & entry(const Json & metadata, const std::string & key, const std::string & path) {
    const Json * found = metadata.find("tokenizer.ggml." + key);
    if (!found)
        fail(LTX2_STATUS_MODEL, "%s: tokenizer.ggml.%s: missing", path.c_str(), key.c_str());
    return *found;
}

// Gemma 3 is one setting of what llama.cpp can do; another one would give other tokens.
void require_flag(const Json & metadata, const char * key, bool value, const std::string & path) {
    const std::string name = std::string("tokenizer.ggml.") + key;
    const Json * found = metadata.find(name);
    if (found && found->boolean(path + ": " + name) != value)
        fail(LTX2_STATUS_MODEL, "%s: %s: %s; Gemma 3 has %s", path.c_str(), name.c_str(),
             value ? "false" : "true", value ? "true" : "false");
}

} // namespace

Tokenizer Tokenizer::from_gguf(const Json & metadata, const std::string & path,
                               std::vector<ScoredPiece> * out) {
    const std::string what = path + ": tokenizer.ggml.";
    const std::string & model = entry(metadata, "model", path).string(what + "model");
    if (model != "llama")
        fail(LTX2_STATUS_MODEL, "%smodel: %s is not supported; Gemma 3 has \"llama\"", what.c_str(),
             shown(model).c_str());
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
    if (out)
        *out = std::move(pieces);
    return Tokenizer(std::make_shared<const TokenizerParts>(std::move(parts)));
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
            return Json(static_cast<int64_t>(id));
    fail(LTX2_STATUS_MODEL, "%s: has no token %s", what.c_str(), token);
}

void put_gguf_keys(std::vector<ScoredPiece> pieces, size_t rows, const std::string & what,
                   Json & metadata) {
    fit(pieces, rows, what);
    Json::Array tokens, scores, types;
    for (const ScoredPiece & piece : pieces) {
        // llama.cpp's score of what no joining makes, and its spelling of what is matched whole.
        const float score = piece.type == normal       ? piece.score
                            : piece.type == byte_piece ? 0
                                                       : -1000;
        const bool whole = piece.type == user_defined;
        tokens.emplace_back(whole ? without_space_marks(piece.text) : piece.text);
        scores.emplace_back(double{score});
        types.emplace_back(piece.type);
    }
    const auto put = [&](const char * key, Json value) {
        metadata.set(std::string("tokenizer.ggml.") + key, std::move(value));
    };
    put("model", Json("llama"));
    put("pre", Json("default"));
    put("tokens", Json(std::move(tokens)));
    put("scores", Json(std::move(scores)));
    put("token_type", Json(std::move(types)));
    put("bos_token_id", id_of("<bos>", pieces, what));
    put("eos_token_id", id_of("<eos>", pieces, what));
    put("unknown_token_id", id_of("<unk>", pieces, what));
    put("padding_token_id", id_of("<pad>", pieces, what));
    put("add_bos_token", Json(true));
    put("add_eos_token", Json(false));
    put("add_space_prefix", Json(false));
}

} // namespace ltx2
