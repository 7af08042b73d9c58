// JSON, read within bounds and written: the `config` of a checkpoint, a safetensors header, a
// tokenizer.json. Metadata of every file is held in this form, so that the rest of the library sees
// one kind.
#pragma once

#include "base/error.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace ltx2 {

// 40 bytes a value, strings up to 15 bytes included: a vocabulary of 262144 takes about 20 MB.
class Json {
public:
    enum class Kind { null, boolean, number, string, array, object };
    using Array = std::vector<Json>;
    using Object = std::vector<std::pair<std::string, Json>>; // in the file's order

    static constexpr int max_depth = 64;          // of nested arrays and objects
    static constexpr size_t max_values = 1 << 23; // in one text or one file's metadata

    // Not explicit, so that Object{{"name", "a"}, {"size", 1}} reads as it is written.
    Json() = default;
    Json(bool value) : value_(value) {}
    Json(const void * pointer) = delete; // would be a boolean
    Json(double value) : value_(value) {}
    template <class T, class = std::enable_if_t<std::is_integral_v<T>>>
    Json(T value) : value_(static_cast<int64_t>(value)) {}
    Json(std::string value) : value_(std::move(value)) {}
    Json(const char * value) : value_(std::string(value)) {}
    Json(Array value) : value_(std::move(value)) {}
    Json(Object value) : value_(std::move(value)) {}

    // Throws MODEL naming `what` and the byte offset: bad syntax, bad UTF-8, too deep, too many
    // values, a key that occurs twice, a number past double's range, anything after the value.
    static Json parse(std::string_view text, const std::string & what);

    // JSON text in UTF-8, on one line: what is not UTF-8 in a string becomes U+FFFD, what is not a
    // finite number null.
    std::string dump() const;

    Kind kind() const;
    // The value as asked for, or MODEL naming `what`.
    bool boolean(const std::string & what) const;
    double number(const std::string & what) const;
    // Exact. What was written as an integer is held in 64 bits; of other numbers, a fraction or a
    // size over 2^53 is an error.
    int64_t integer(const std::string & what) const;
    const std::string & string(const std::string & what) const;
    const Array & array(const std::string & what) const;
    const Object & object(const std::string & what) const;

    // Null where this is not an object or has no such key. Looks at one key after the other.
    const Json * find(std::string_view key) const;
    void set(std::string key, Json value); // this must be an object (or null, which becomes one)

private:
    template <class T>
    const T & get(const std::string & what, Kind wanted) const;
    void dump(std::string & out) const;

    std::variant<std::monostate, bool, int64_t, double, std::string, Array, Object> value_;
};

// The first key that occurs twice, or null.
const std::string * repeated_key(const Json::Object & object);

} // namespace ltx2
