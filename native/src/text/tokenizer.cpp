#include "text/tokenizer.h"

#include "files/paths.h"
#include "text/tokenizer_parts.h"
#include "text/unicode.h"

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

} // namespace

std::vector<int32_t> Tokenizer::encode(std::string_view text, int max_tokens) const {
    if (max_tokens < 1)
        fail(LTX2_STATUS_INVALID_ARGUMENT, "tokenizer: %d tokens at most; at least 1", max_tokens);
    if (text.size() > longest_prompt)
        fail(LTX2_STATUS_INVALID_ARGUMENT, "prompt: %zu bytes; at most %zu", text.size(),
             longest_prompt);
    require_utf8(text, LTX2_STATUS_INVALID_ARGUMENT, "prompt");
    text = stripped(text);

    const size_t enough = static_cast<size_t>(max_tokens);
    std::vector<int32_t> out = {parts_->bos};
    for (const AddedTokens::Part & part : parts_->added.split(text)) {
        if (out.size() >= enough)
            break;
        if (part.id == AddedTokens::plain)
            encode_plain(*parts_, parts_->normalize(part.text), enough, out);
        else
            out.push_back(part.id);
    }
    if (out.size() > enough)
        out.resize(enough);
    return out;
}

size_t Tokenizer::size() const { return parts_->size; }

void Tokenizer::check(const Part & part) {
    const TensorFile & file = *part.file;
    if (file.is_gguf() || file.find("spiece_model") ||
        exists(beside(file.path, "tokenizer.json")) || exists(beside(file.path, "tokenizer.model")))
        return;
    fail(LTX2_STATUS_MODEL, "%s: there is no tokenizer.json or tokenizer.model next to it",
         file.path.c_str());
}

Tokenizer Tokenizer::open(const Part & part, std::vector<ScoredPiece> * pieces) {
    check(part);
    const TensorFile & file = *part.file;
    if (file.is_gguf())
        return from_gguf(file.metadata, file.path, pieces);
    if (const TensorInfo * model = file.find("spiece_model"))
        return from_sentencepiece({reinterpret_cast<const char *>(model->data), model->size},
                                  file.path, Json(), pieces);
    const std::string json = beside(file.path, "tokenizer.json");
    if (exists(json))
        return from_json(read_json(json), json, pieces);
    const std::string model = beside(file.path, "tokenizer.model");
    const std::string added = beside(file.path, "added_tokens.json");
    const Mapping mapping(model);
    return from_sentencepiece({reinterpret_cast<const char *>(mapping.data()), mapping.size()},
                              model, exists(added) ? read_json(added) : Json(), pieces);
}

} // namespace ltx2
