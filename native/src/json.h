// A bounded JSON reader: the `config` of a checkpoint, a safetensors header, a tokenizer.json.
// Metadata of every file is held in this form, so that the rest of the library sees one kind.
#pragma once

#include "error.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ltx2 {

class Json {
public:
    enum class Kind { null, boolean, number, string, array, object };
    using Array = std::vector<Json>;
    using Object = std::vector<std::pair<std::string, Json>>; // in the file's order

    Json() = default;
    explicit Json(bool value) : kind_(Kind::boolean), number_(value) {}
    explicit Json(double value) : kind_(Kind::number), number_(value) {}
    explicit Json(std::string value) : kind_(Kind::string), string_(std::move(value)) {}
    explicit Json(Array value) : kind_(Kind::array), array_(std::move(value)) {}
    explicit Json(Object value) : kind_(Kind::object), object_(std::move(value)) {}

    // Throws MODEL naming `what` and the byte offset: bad syntax, bad UTF-8, nesting over 64,
    // a key that occurs twice, anything after the value.
    static Json parse(std::string_view text, const std::string & what);

    Kind kind() const { return kind_; }
    // The value as asked for, or MODEL naming `what`.
    bool boolean(const std::string & what) const;
    double number(const std::string & what) const;
    int64_t integer(const std::string & what) const; // exact; a fraction or over 2^53 is an error
    const std::string & string(const std::string & what) const;
    const Array & array(const std::string & what) const;
    const Object & object(const std::string & what) const;

    // Null where this is not an object or has no such key.
    const Json * find(std::string_view key) const;
    void set(std::string key, Json value); // this must be an object (or null, which becomes one)

private:
    Kind kind_ = Kind::null;
    double number_ = 0;
    std::string string_;
    Array array_;
    Object object_;
};

} // namespace ltx2
