#include "text/tokenizer.h"

#include "base/utf8.h"
#include "files/paths.h"
#include "text/tokenizer_parts.h"

namespace ltx2 {

namespace {

// The text without an added token in it: cut where the pre-tokenizer says, then pieces are joined.
void encode_plain(const TokenizerParts & parts, std::string_view text, size_t enough,
                  std::vector<int32_t> & out) {
    while (!text.empty() && out.size() < enough) {
        size_t size = text.size();
        if (!parts.split_after.empty()) {
            const size_t found = text.find(parts.split_after);
            if (found != std::string_view::npos)
                size = found + parts.split_after.size();
        }
        parts.bpe.encode(text.substr(0, size), out);
        text.remove_prefix(size);
    }
}

void check_prompt(std::string_view text) {
    if (text.size() > longest_prompt)
        fail(LTX2_STATUS_INVALID_ARGUMENT, "prompt: %zu bytes; at most %zu", text.size(),
             longest_prompt);
    require_utf8(text, LTX2_STATUS_INVALID_ARGUMENT, "prompt");
}

// Of the tokens found whole, those that are a run of white space; the others mean something.
bool is_blank(std::string_view token) {
    return replace_all(token, space_mark, " ").find_first_not_of("\n\t ") == std::string::npos;
}

// A token that means something is cut after its first character, so that no joining makes it.
void encode_as_text(const TokenizerParts & parts, std::string_view text,
                    std::vector<int32_t> & out) {
    const auto plain = [&](std::string_view piece) {
        encode_plain(parts, parts.normalize(piece), SIZE_MAX, out);
    };
    for (const AddedTokens::Part & part : parts.added.split(text)) {
        const size_t first = utf8_length(part.text);
        if (part.id == AddedTokens::plain)
            plain(part.text);
        else if (is_blank(part.text))
            out.push_back(part.id);
        else
            plain(part.text.substr(0, first)), plain(part.text.substr(first));
    }
}

struct TurnTokens {
    const char *starts, *ends, *thought_starts, *thought_ends;
};
constexpr TurnTokens gemma3_turn = {"<start_of_turn>", "<end_of_turn>", nullptr, nullptr};
constexpr TurnTokens gemma4_turn = {"<|turn>", "<turn|>", "<|channel>", "<channel|>"};
const TurnTokens & turn_of(const TokenizerParts & parts) {
    return parts.is_gemma4() ? gemma4_turn : gemma3_turn;
}

} // namespace

std::vector<int32_t> Tokenizer::encode_turn(std::string_view text) const {
    check_prompt(text);
    const TurnTokens & turn = turn_of(*parts_);
    const auto need = [&](const char * token) {
        const int32_t id = parts_->added_token(token);
        if (id < 0)
            fail(LTX2_STATUS_MODEL,
                 "text encoder: its tokenizer has no %s, so it cannot be asked to enhance a "
                 "prompt; Gemma 3 12B can",
                 token);
        return id;
    };
    const int32_t starts = need(turn.starts), ends = need(turn.ends);
    std::vector<int32_t> out = {parts_->bos, starts};
    encode_as_text(*parts_, "user\n" + std::string(text), out);
    out.push_back(ends);
    encode_as_text(*parts_, "\n", out);
    out.push_back(starts);
    encode_as_text(*parts_, "model\n", out);
    if (turn.thought_starts) { // that there is none
        out.push_back(need(turn.thought_starts));
        encode_as_text(*parts_, "thought\n", out);
        out.push_back(need(turn.thought_ends));
    }
    return out;
}

bool Tokenizer::ends_turn(int32_t token) const {
    return token == parts_->added_token(turn_of(*parts_).ends) ||
           token == parts_->added_token("<eos>");
}

std::string Tokenizer::text(int32_t token) const {
    const Bpe & bpe = parts_->bpe;
    if (token < 0)
        return "";
    for (size_t byte = 0; byte < bpe.bytes.size(); ++byte)
        if (bpe.bytes[byte] == token)
            return std::string(1, static_cast<char>(byte));
    size_t i = static_cast<size_t>(token); // usually its place
    if (i >= bpe.vocabulary.size() || bpe.vocabulary.id(i) != token)
        for (i = 0; i < bpe.vocabulary.size() && bpe.vocabulary.id(i) != token;)
            ++i;
    if (i == bpe.vocabulary.size())
        return "";
    const std::string_view piece = bpe.vocabulary.text(i);
    const bool means = parts_->added_token(piece) == token && !is_blank(piece);
    return means ? "" : replace_all(piece, space_mark, " ");
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, int max_tokens) const {
    if (max_tokens < 1)
        fail(LTX2_STATUS_INVALID_ARGUMENT, "tokenizer: %d tokens at most; at least 1", max_tokens);
    check_prompt(text);
    text = stripped(text);

    const size_t enough = static_cast<size_t>(max_tokens);
    std::vector<int32_t> out = {parts_->bos};
    const std::vector<AddedTokens::Part> split = parts_->added.split(text);
    for (const AddedTokens::Part & part : split) {
        const bool typed_bos = &part == &split.front() && part.id == parts_->bos;
        if (out.size() >= enough)
            break;
        if (part.id == AddedTokens::plain)
            encode_plain(*parts_, parts_->normalize(part.text), enough, out);
        else if (!typed_bos || !parts_->is_gemma4())
            out.push_back(part.id);
    }
    if (out.size() > enough)
        out.resize(enough);
    return out;
}

Tokenizer::Tokenizer(TokenizerParts parts)
    : parts_(std::make_shared<const TokenizerParts>(std::move(parts))) {}

size_t Tokenizer::size() const { return parts_->size; }

void Tokenizer::check(const Part & part) {
    const TensorFile & file = *part.file;
    if (file.is_gguf() || file.find("tokenizer_json") || file.find("spiece_model") ||
        exists(next_to(file.path, "tokenizer.json")) ||
        exists(next_to(file.path, "tokenizer.model")))
        return;
    fail(LTX2_STATUS_MODEL,
         "%s: there is no tokenizer.json or tokenizer.model next to it; get it from where the "
         "weights are from",
         file.path.c_str());
}

Tokenizer Tokenizer::open(const Part & part, GgufVocabulary * vocabulary) {
    check(part);
    const TensorFile & file = *part.file;
    const auto bytes = [](const TensorInfo & tensor) {
        return std::string_view(reinterpret_cast<const char *>(tensor.data), tensor.size);
    };
    if (const TensorInfo * json = file.find("tokenizer_json")) {
        const std::string what = file.path + ": tokenizer_json";
        return from_json(Json::parse(bytes(*json), what), what, vocabulary);
    }
    if (file.is_gguf())
        return from_gguf(file.metadata, file.path, vocabulary);
    if (const TensorInfo * model = file.find("spiece_model"))
        return from_sentencepiece(bytes(*model), file.path, Json(), vocabulary);
    const std::string json = next_to(file.path, "tokenizer.json");
    if (exists(json))
        return from_json(read_json(json), json, vocabulary);
    const std::string model = next_to(file.path, "tokenizer.model");
    const std::string added = next_to(file.path, "added_tokens.json");
    const Mapping mapping(model);
    return while_unchanged(mapping, [&] {
        return from_sentencepiece({reinterpret_cast<const char *>(mapping.data()), mapping.size()},
                                  model, exists(added) ? read_json(added) : Json(), vocabulary);
    });
}

} // namespace ltx2
