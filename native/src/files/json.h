// JSON, read within bounds and written: the `config` of a checkpoint, a safetensors header, a
// tokenizer.json. Metadata of every file is held in this form, so that the rest of the library sees
// one kind.
#pragma once

#include "base/error.h"

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

namespace ltx2 {

class Json;

// A place in one run of packed bytes (files/json_packed.h), which all values of a text share and
// which lives as long as any of them. So memory is in proportion to the text, whatever is in it,
// and a copy allocates nothing.
struct JsonRun {
    std::shared_ptr<std::string> bytes;
    std::string_view view;
    void append(std::string_view more); // to a copy, where others see the bytes too
};

// An element is made as it is reached; counting, and [], go through all before it.
class JsonArray : JsonRun {
public:
    class Iterator;
    JsonArray() = default;
    JsonArray(std::initializer_list<Json> values);
    template <class It>
    JsonArray(It first, It last) {
        for (; first != last; ++first)
            push_back(*first);
    }
    Iterator begin() const; // which this must outlive
    Iterator end() const;
    size_t size() const;
    bool empty() const { return view.empty(); }
    Json operator[](size_t i) const; // which must be there
    void push_back(const Json & value);

private:
    friend class Json;
    friend class Packer;
    explicit JsonArray(JsonRun run, int numbers = 0) : JsonRun(std::move(run)), numbers_(numbers) {}
    int numbers_ = 0; // the Tag of all elements, where it is packed once; else 0
};

// In the file's order.
class JsonObject : JsonRun {
public:
    class Iterator;
    JsonObject() = default;
    JsonObject(std::initializer_list<std::pair<std::string_view, Json>> members);
    Iterator begin() const; // which this must outlive
    Iterator end() const;
    size_t size() const;
    bool empty() const { return view.empty(); }
    void add(std::string_view key, const Json & value); // a key that it does not have

private:
    friend class Json;
    friend class Packer;
    explicit JsonObject(JsonRun run) : JsonRun(std::move(run)) {}
};

class Json {
public:
    enum class Kind { null, boolean, number, string, array, object };
    using Array = JsonArray;
    using Object = JsonObject;

    static constexpr int max_depth = 64;                 // of nested arrays and objects
    static constexpr size_t max_values = 1 << 23;        // in one text or one file's metadata
    static constexpr size_t max_bytes = size_t{1} << 28; // of one text or one file's metadata

    // Not explicit, so that Object{{"name", "a"}, {"size", 1}} reads as it is written.
    Json() = default;
    Json(bool value) : value_(value) {}
    Json(const void * pointer) = delete; // would be a boolean
    Json(double value) : value_(value) {}
    template <class T, class = std::enable_if_t<std::is_integral_v<T>>>
    Json(T value) : value_(static_cast<int64_t>(value)) {}
    Json(std::string value);
    Json(std::string_view value) : Json(std::string(value)) {}
    Json(const char * value) : Json(std::string(value)) {}
    Json(Array value) : value_(std::move(value)) {}
    Json(Object value) : value_(std::move(value)) {}

    // Throws MODEL naming `what` and the byte offset: bad syntax, bad UTF-8, too long, too deep,
    // too many values, a key that occurs twice, a number past double's range, anything after the
    // value. Takes at most three times the bytes of the text.
    static Json parse(std::string_view text, const std::string & what);
    static Json unpacked(std::string bytes); // one value, as a Packer writes it

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
    std::string_view string(const std::string & what) const; // lives as long as its text
    Array array(const std::string & what) const;
    Object object(const std::string & what) const;

    // Nothing where this is not an object or has no such key. Looks at one key after the other.
    std::optional<Json> find(std::string_view key) const;
    void set(std::string_view key, const Json & value); // this must be an object, or null
    Json copy() const; // in bytes of its own, so that the rest of its text can go

private:
    friend class Packer;
    friend class JsonArray;
    friend class JsonObject;
    struct Text : JsonRun {};

    template <class T>
    const T & get(const std::string & what, Kind wanted) const;
    void dump(std::string & out) const;
    static Json read(const std::shared_ptr<std::string> & bytes, const char *& at);

    std::variant<std::monostate, bool, int64_t, double, Text, Array, Object> value_;
};

struct JsonMember {
    std::string_view key;
    Json value;
};

class JsonArray::Iterator {
public:
    using iterator_category = std::input_iterator_tag;
    using value_type = Json;
    using difference_type = std::ptrdiff_t;
    using pointer = void;
    using reference = Json;
    Iterator(const JsonArray & array, const char * at) : array_(&array), at_(at) {}
    Json operator*() const;
    Iterator & operator++();
    bool operator!=(const Iterator & other) const { return at_ != other.at_; }

private:
    const JsonArray * array_;
    const char * at_;
};

class JsonObject::Iterator {
public:
    using iterator_category = std::input_iterator_tag;
    using value_type = JsonMember;
    using difference_type = std::ptrdiff_t;
    using pointer = void;
    using reference = JsonMember;
    Iterator(const JsonObject & object, const char * at) : object_(&object), at_(at) {}
    JsonMember operator*() const;
    Iterator & operator++();
    bool operator!=(const Iterator & other) const { return at_ != other.at_; }

private:
    const JsonObject * object_;
    const char * at_;
};

} // namespace ltx2
