#include "text/tokenizer.h"

#include "files/paths.h"
#include "text/tokenizer_parts.h"

namespace ltx2 {

namespace {

// What Python takes for a space.
constexpr std::string_view spaces[] = {
    "\t",           "\n",           "\v",           "\f",           "\r",
    "\x1C",         "\x1D",         "\x1E",         "\x1F",         " ",
    "\xC2\x85",     "\xC2\xA0",     "\xE1\x9A\x80", "\xE2\x80\x80", "\xE2\x80\x81",
    "\xE2\x80\x82", "\xE2\x80\x83", "\xE2\x80\x84", "\xE2\x80\x85", "\xE2\x80\x86",
    "\xE2\x80\x87", "\xE2\x80\x88", "\xE2\x80\x89", "\xE2\x80\x8A", "\xE2\x80\xA8",
    "\xE2\x80\xA9", "\xE2\x80\xAF", "\xE2\x81\x9F", "\xE3\x80\x80"};

// As Python's str.strip().
std::string_view stripped(std::string_view text) {
    for (bool more = true; more;) {
        more = false;
        for (const std::string_view space : spaces) {
            const size_t size = space.size();
            const bool first = text.substr(0, size) == space;
            text.remove_prefix(first ? size : 0);
            const bool last = text.size() >= size && text.substr(text.size() - size) == space;
            text.remove_suffix(last ? size : 0);
            more = more || first || last;
        }
    }
    return text;
}

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

Tokenizer::Tokenizer(TokenizerParts parts)
    : parts_(std::make_shared<const TokenizerParts>(std::move(parts))) {}

size_t Tokenizer::size() const { return parts_->size; }

void Tokenizer::check(const Part & part) {
    const TensorFile & file = *part.file;
    if (file.is_gguf() || file.find("spiece_model") ||
        exists(next_to(file.path, "tokenizer.json")) ||
        exists(next_to(file.path, "tokenizer.model")))
        return;
    fail(LTX2_STATUS_MODEL,
         "%s: there is no tokenizer.json or tokenizer.model next to it; get it from where the "
         "weights are from",
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
    const std::string json = next_to(file.path, "tokenizer.json");
    if (exists(json))
        return from_json(read_json(json), json, pieces);
    const std::string model = next_to(file.path, "tokenizer.model");
    const std::string added = next_to(file.path, "added_tokens.json");
    const Mapping mapping(model);
    return while_unchanged(mapping, [&] {
        return from_sentencepiece({reinterpret_cast<const char *>(mapping.data()), mapping.size()},
                                  model, exists(added) ? read_json(added) : Json(), pieces);
    });
}

} // namespace ltx2
