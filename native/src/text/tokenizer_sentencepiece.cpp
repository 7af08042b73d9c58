// The second source: SentencePiece's tokenizer.model, of which the fields that bear on encoding are
// read (ModelProto of sentencepiece_model.proto).
#include "base/error.h"
#include "text/tokenizer.h"
#include "text/tokenizer_parts.h"

#include <algorithm>
#include <cstring>
#include <map>

namespace ltx2 {

namespace {

// A bounded reader of protobuf's wire format: field by field, nothing copied.
class Wire {
public:
    // `bytes` must outlive the reader. Every throw is MODEL and begins with `what`.
    Wire(std::string_view bytes, std::string what) : rest_(bytes), what_(std::move(what)) {}

    // To the next field; false at the end.
    bool next() {
        if (rest_.empty())
            return false;
        const uint64_t key = varint();
        field_ = key >> 3;
        kind_ = static_cast<int>(key & 7);
        if (kind_ == 0)
            integer_ = varint();
        else if (kind_ == 1 || kind_ == 5)
            text_ = take(kind_ == 1 ? 8 : 4);
        else if (kind_ == 2)
            text_ = take(varint());
        else // groups, and what protobuf does not have
            fail(LTX2_STATUS_MODEL, "%s: field %llu is of kind %d; no protobuf", what_.c_str(),
                 static_cast<unsigned long long>(field_), kind_);
        return true;
    }

    uint64_t field() const { return field_; }

    // The value of this field; throws where it is of another kind.
    uint64_t integer() const {
        require(0);
        return integer_;
    }

    std::string_view text() const {
        require(2);
        return text_;
    }

    float number() const {
        require(5);
        uint32_t bits = 0; // little-endian in the file, whatever this machine is
        for (int i = 3; i >= 0; --i)
            bits = bits << 8 | static_cast<uint8_t>(text_[i]);
        float value;
        std::memcpy(&value, &bits, sizeof value);
        return value;
    }

private:
    uint64_t varint() {
        uint64_t value = 0;
        for (int shift = 0; shift < 64; shift += 7) {
            const uint8_t byte = static_cast<uint8_t>(take(1)[0]);
            value |= static_cast<uint64_t>(byte & 0x7F) << shift;
            if (byte < 0x80)
                return value;
        }
        fail(LTX2_STATUS_MODEL, "%s: a number of over ten bytes", what_.c_str());
    }

    std::string_view take(uint64_t size) {
        if (size > rest_.size())
            fail(LTX2_STATUS_MODEL, "%s: field %llu needs %llu bytes, and %zu are left",
                 what_.c_str(), static_cast<unsigned long long>(field_),
                 static_cast<unsigned long long>(size), rest_.size());
        const std::string_view taken = rest_.substr(0, size);
        rest_.remove_prefix(size);
        return taken;
    }

    void require(int kind) const {
        if (kind_ != kind)
            fail(LTX2_STATUS_MODEL, "%s: field %llu is of kind %d instead of %d", what_.c_str(),
                 static_cast<unsigned long long>(field_), kind_, kind);
    }

    std::string_view rest_, text_;
    std::string what_;
    uint64_t field_ = 0, integer_ = 0;
    int kind_ = 0; // 0 varint, 1 eight bytes, 2 counted bytes, 5 four bytes
};

ScoredPiece read_piece(std::string_view bytes, const std::string & what) {
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

Trained read_trained(std::string_view bytes, const std::string & what) {
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
void check_normalizer(std::string_view bytes, const std::string & what) {
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
    const char * wrong = charsmap  ? "a precompiled_charsmap"
                         : prefix  ? "add_dummy_prefix"
                         : squeeze ? "remove_extra_whitespaces"
                         : !escape ? "escape_whitespaces off"
                                   : nullptr;
    if (wrong)
        fail(LTX2_STATUS_MODEL, "%s: normalizer_spec: %s is not supported; Gemma 3 has none",
             what.c_str(), wrong);
}

// Hugging Face keeps tokens next to the file: text -> id, some of them also in the file. Those that
// follow the file's, in the order of their ids.
std::vector<std::string> tokens_after(const Json & table, const std::string & what, size_t count) {
    std::map<int64_t, std::string> by_id;
    for (const auto & [text, id] : table.object(what))
        by_id[id.integer(what)] = std::string(text);
    std::vector<std::string> tokens;
    for (const auto & [id, text] : by_id) {
        const auto next = static_cast<int64_t>(count + tokens.size());
        if (id > next)
            fail(LTX2_STATUS_MODEL, "%s: id %lld leaves a gap after %lld", what.c_str(),
                 static_cast<long long>(id), static_cast<long long>(next - 1));
        if (id == next)
            tokens.push_back(text);
    }
    return tokens;
}

} // namespace

Tokenizer Tokenizer::from_sentencepiece(std::string_view bytes, const std::string & path,
                                        const Json & added, GgufVocabulary * out) {
    size_t count = 0;
    std::string_view trainer, normalizer;
    for (Wire wire(bytes, path); wire.next();) {
        if (wire.field() == 1)
            ++count;
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
    ScoredParts all(count, 0, path);
    const auto add = [&](const ScoredPiece & piece) {
        all.add(piece);
        if (out)
            out->pieces.push_back(piece);
    };
    size_t next = 0;
    for (Wire wire(bytes, path); wire.next();)
        if (wire.field() == 1)
            add(read_piece(wire.text(), path + ": piece " + std::to_string(next++)));
    if (added.kind() != Json::Kind::null)
        for (const std::string & text : tokens_after(added, path + ": added_tokens.json", count))
            add({text, 0, control});
    TokenizerParts parts = all.finish(trained.bos, trained.unknown);
    if (trained.byte_fallback)
        parts.bpe.use_byte_fallback();
    return Tokenizer(std::move(parts));
}

} // namespace ltx2
