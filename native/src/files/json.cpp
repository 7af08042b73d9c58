#include "files/json.h"

#include "base/utf8.h"
#include "files/json_packed.h"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <limits>
#include <locale>
#include <sstream>
#include <vector>

namespace ltx2 {

using Bytes = std::shared_ptr<std::string>;

// libstdc++ 12's variant reads past its alternatives where copying one of them throws.
static_assert(std::is_nothrow_copy_constructible_v<JsonRun>);

// ---- packed values

static Tag tag_of(char byte) { return static_cast<Tag>(byte); }

void JsonRun::append(std::string_view more) {
    const bool whole = bytes && view.data() == bytes->data() && view.size() == bytes->size();
    if (!whole || bytes.use_count() > 1)
        bytes = std::make_shared<std::string>(view);
    bytes->append(more);
    view = *bytes;
}

template <class T>
static T loaded(const char * at) {
    T value;
    std::memcpy(&value, at, sizeof value);
    return value;
}

// A value of a fixed size.
static Json scalar(Tag tag, const char * at) {
    switch (tag) {
    case Tag::boolean:
        return *at != 0;
    case Tag::i8:
        return loaded<int8_t>(at);
    case Tag::u8:
        return loaded<uint8_t>(at);
    case Tag::i16:
        return loaded<int16_t>(at);
    case Tag::u16:
        return loaded<uint16_t>(at);
    case Tag::i32:
        return loaded<int32_t>(at);
    case Tag::u32:
        return loaded<uint32_t>(at);
    case Tag::i64:
        return loaded<int64_t>(at);
    case Tag::u64: { // past 2^63 the nearest double is the best that can be held
        const auto n = loaded<uint64_t>(at);
        return n <= static_cast<uint64_t>(INT64_MAX) ? Json(n) : Json(static_cast<double>(n));
    }
    case Tag::f32:
        return double{loaded<float>(at)};
    case Tag::f64:
        return loaded<double>(at);
    default:
        return {};
    }
}

Json Json::read(const Bytes & bytes, const char *& at) {
    const Tag tag = tag_of(*at++);
    Json out;
    if (tag == Tag::string)
        out.value_ = Text{{bytes, packed_text(at)}};
    else if (tag == Tag::array)
        out.value_ = Array(JsonRun{bytes, packed_content(at)});
    else if (tag == Tag::object)
        out.value_ = Object(JsonRun{bytes, packed_content(at)});
    else if (tag == Tag::numbers) {
        const std::string_view content = packed_content(at);
        out.value_ = Array(JsonRun{bytes, content.substr(1)}, content[0]);
    } else {
        out = scalar(tag, at);
        at += packed_size[static_cast<size_t>(tag)];
    }
    return out;
}

Json Json::unpacked(std::string packed) {
    const Bytes bytes = std::make_shared<std::string>(std::move(packed));
    const char * at = bytes->data();
    return read(bytes, at);
}

void Packer::integer(int64_t value) {
    if (value == static_cast<int8_t>(value))
        scalar(Tag::i8, static_cast<int8_t>(value));
    else if (value == static_cast<int16_t>(value))
        scalar(Tag::i16, static_cast<int16_t>(value));
    else if (value == static_cast<int32_t>(value))
        scalar(Tag::i32, static_cast<int32_t>(value));
    else
        scalar(Tag::i64, value);
}

void Packer::value(const Json & json) {
    const auto & value = json.value_;
    if (const bool * boolean = std::get_if<bool>(&value)) {
        scalar(Tag::boolean, *boolean);
    } else if (const int64_t * n = std::get_if<int64_t>(&value)) {
        integer(*n);
    } else if (const double * real = std::get_if<double>(&value)) {
        scalar(Tag::f64, *real);
    } else if (const Json::Text * text = std::get_if<Json::Text>(&value)) {
        string(text->view);
    } else if (const JsonArray * array = std::get_if<JsonArray>(&value)) {
        const size_t inside = open(array->numbers_ ? Tag::numbers : Tag::array);
        if (array->numbers_)
            bytes += static_cast<char>(array->numbers_);
        bytes += array->view;
        close(inside);
    } else if (const JsonObject * object = std::get_if<JsonObject>(&value)) {
        const size_t inside = open(Tag::object);
        bytes += object->view;
        close(inside);
    } else {
        tag(Tag::null);
    }
}

std::string repeated_key(std::string_view content) {
    std::vector<std::string_view> keys;
    const char *at = content.data(), *end = at + content.size();
    size_t count = 0;
    for (; at != end; at = packed_end(at), ++count)
        packed_text(at);
    keys.reserve(count);
    for (at = content.data(); at != end; at = packed_end(at))
        keys.push_back(packed_text(at));
    // Sorted, not hashed: a file cannot choose keys that make it slow.
    std::sort(keys.begin(), keys.end());
    const auto twice = std::adjacent_find(keys.begin(), keys.end());
    return twice == keys.end() ? "" : shown(*twice);
}

// ---- arrays and objects

JsonArray::JsonArray(std::initializer_list<Json> values)
    : JsonArray(values.begin(), values.end()) {}

JsonArray::Iterator JsonArray::begin() const { return {*this, view.data()}; }
JsonArray::Iterator JsonArray::end() const { return {*this, view.data() + view.size()}; }

Json JsonArray::Iterator::operator*() const {
    const char * at = at_;
    return array_->numbers_ ? scalar(static_cast<Tag>(array_->numbers_), at)
                            : Json::read(array_->bytes, at);
}

JsonArray::Iterator & JsonArray::Iterator::operator++() {
    const int numbers = array_->numbers_;
    at_ = numbers ? at_ + packed_size[numbers] : packed_end(at_);
    return *this;
}

size_t JsonArray::size() const {
    return numbers_ ? view.size() / packed_size[numbers_]
                    : static_cast<size_t>(std::distance(begin(), end()));
}

Json JsonArray::operator[](size_t i) const { return *std::next(begin(), static_cast<long>(i)); }

void JsonArray::push_back(const Json & value) {
    if (numbers_)
        *this = JsonArray(begin(), end());
    Packer packer;
    packer.value(value);
    append(packer.bytes);
}

JsonObject::JsonObject(std::initializer_list<std::pair<std::string_view, Json>> members) {
    for (const auto & [key, value] : members)
        add(key, value);
}

JsonObject::Iterator JsonObject::begin() const { return {*this, view.data()}; }
JsonObject::Iterator JsonObject::end() const { return {*this, view.data() + view.size()}; }

JsonMember JsonObject::Iterator::operator*() const {
    const char * at = at_;
    const std::string_view key = packed_text(at);
    return {key, Json::read(object_->bytes, at)};
}

JsonObject::Iterator & JsonObject::Iterator::operator++() {
    packed_text(at_);
    at_ = packed_end(at_);
    return *this;
}

size_t JsonObject::size() const { return static_cast<size_t>(std::distance(begin(), end())); }

void JsonObject::add(std::string_view key, const Json & value) {
    Packer packer;
    packer.text(key);
    packer.value(value);
    append(packer.bytes);
}

// ---- one value

Json::Json(std::string value) {
    const Bytes bytes = std::make_shared<std::string>(std::move(value));
    value_ = Text{{bytes, *bytes}};
}

static const char * kind_name(Json::Kind kind) {
    static constexpr const char * names[] = {"null",     "a boolean", "a number",
                                             "a string", "an array",  "an object"};
    return names[static_cast<size_t>(kind)];
}

Json::Kind Json::kind() const {
    static constexpr Kind kinds[] = {Kind::null,   Kind::boolean, Kind::number, Kind::number,
                                     Kind::string, Kind::array,   Kind::object};
    return kinds[value_.index()];
}

[[noreturn]] static void wrong_kind(const std::string & what, Json::Kind is, Json::Kind wanted) {
    fail(LTX2_STATUS_MODEL, "%s: is %s, not %s", what.c_str(), kind_name(is), kind_name(wanted));
}

template <class T>
const T & Json::get(const std::string & what, Kind wanted) const {
    if (const T * value = std::get_if<T>(&value_))
        return *value;
    wrong_kind(what, kind(), wanted);
}

bool Json::boolean(const std::string & what) const { return get<bool>(what, Kind::boolean); }

double Json::number(const std::string & what) const {
    if (const int64_t * value = std::get_if<int64_t>(&value_))
        return static_cast<double>(*value);
    return get<double>(what, Kind::number);
}

int64_t Json::integer(const std::string & what) const {
    if (const int64_t * value = std::get_if<int64_t>(&value_))
        return *value;
    const double value = number(what);
    const double limit = 9007199254740992.0; // 2^53: above it a double skips integers
    if (!(std::fabs(value) <= limit) || value != std::floor(value))
        fail(LTX2_STATUS_MODEL, "%s: %.17g is not an integer that can be held", what.c_str(),
             value);
    return static_cast<int64_t>(value);
}

std::string_view Json::string(const std::string & what) const {
    return get<Text>(what, Kind::string).view;
}

JsonArray Json::array(const std::string & what) const { return get<Array>(what, Kind::array); }
JsonObject Json::object(const std::string & what) const { return get<Object>(what, Kind::object); }

std::optional<Json> Json::find(std::string_view key) const {
    if (const Object * object = std::get_if<Object>(&value_)) {
        const char *at = object->view.data(), *end = at + object->view.size();
        for (; at != end; at = packed_end(at))
            if (packed_text(at) == key)
                return read(object->bytes, at);
    }
    return {};
}

void Json::set(std::string_view key, const Json & value) {
    if (kind() == Kind::null)
        value_ = Object();
    Object * object = std::get_if<Object>(&value_);
    if (!object)
        wrong_kind(std::string(key), kind(), Kind::object);
    if (!find(key))
        return object->add(key, value);
    Object changed;
    for (const auto & [name, old] : *object)
        changed.add(name, name == key ? value : old);
    *object = std::move(changed);
}

Json Json::copy() const {
    Packer packer;
    packer.value(*this);
    return unpacked(std::move(packer.bytes));
}

// ---- text

static void dump_string(std::string & out, std::string_view text) {
    out += '"';
    while (!text.empty()) {
        const char c = text.front();
        const size_t length = utf8_length(text);
        const auto * escape = std::find_if(std::begin(escapes), std::end(escapes),
                                           [&](auto pair) { return pair.second == c && c != '/'; });
        if (escape != std::end(escapes))
            (out += '\\') += escape->first;
        else if (static_cast<uint8_t>(c) < 0x20)
            out += words("\\u%04x", c);
        else
            out += length ? text.substr(0, length) : "\xef\xbf\xbd"; // U+FFFD for what is no text
        text.remove_prefix(length ? length : 1);
    }
    out += '"';
}

// The shortest text that reads back as the same value, of the same kind; JSON has none for what is
// not finite.
static std::string number_text(double value) {
    if (!std::isfinite(value))
        return "null";
    std::ostringstream text;
    text.exceptions(
        std::ios::badbit); // a stream hides an exception, memory that ran out, otherwise
    text.imbue(std::locale::classic());
    for (int digits : {15, 17}) {
        text.str("");
        text << std::setprecision(digits) << value;
        double again = 0;
        std::istringstream back(text.str());
        back.exceptions(std::ios::badbit);
        back.imbue(std::locale::classic());
        if (back >> again && again == value)
            break;
    }
    const bool whole = text.str().find_first_of(".e") == std::string::npos;
    return text.str() + (whole ? ".0" : ""); // else it would read back as an integer
}

void Json::dump(std::string & out) const {
    const char * between = "";
    if (const Object * object = std::get_if<Object>(&value_)) {
        out += '{';
        for (const auto & [key, value] : *object) {
            out += between;
            dump_string(out, key);
            out += ": ";
            value.dump(out);
            between = ", ";
        }
        out += '}';
    } else if (const Array * array = std::get_if<Array>(&value_)) {
        out += '[';
        for (const Json & value : *array) {
            out += between;
            value.dump(out);
            between = ", ";
        }
        out += ']';
    } else if (const Text * text = std::get_if<Text>(&value_))
        dump_string(out, text->view);
    else if (const int64_t * integer = std::get_if<int64_t>(&value_))
        out += std::to_string(*integer);
    else if (const double * number = std::get_if<double>(&value_))
        out += number_text(*number);
    else if (const bool * boolean = std::get_if<bool>(&value_))
        out += *boolean ? "true" : "false";
    else
        out += "null";
}

std::string Json::dump() const {
    std::string out;
    dump(out);
    return out;
}

} // namespace ltx2
