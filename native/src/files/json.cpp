#include "files/json.h"

#include "base/utf8.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iomanip>
#include <limits>
#include <locale>
#include <sstream>

namespace ltx2 {

static const char * kind_name(Json::Kind kind) {
    static constexpr const char * names[] = {"null",     "a boolean", "a number",
                                             "a string", "an array",  "an object"};
    return names[static_cast<size_t>(kind)];
}

Json::Kind Json::kind() const {
    static constexpr Kind kinds[] = {Kind::null,   Kind::boolean, Kind::number, Kind::number,
                                     Kind::string, Kind::array,   Kind::object};
    return value_.valueless_by_exception() ? Kind::null : kinds[value_.index()];
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

const std::string & Json::string(const std::string & what) const {
    return get<std::string>(what, Kind::string);
}

const Json::Array & Json::array(const std::string & what) const {
    return get<Array>(what, Kind::array);
}

const Json::Object & Json::object(const std::string & what) const {
    return get<Object>(what, Kind::object);
}

const Json * Json::find(std::string_view key) const {
    if (const Object * object = std::get_if<Object>(&value_))
        for (const auto & [name, value] : *object)
            if (name == key)
                return &value;
    return nullptr;
}

void Json::set(std::string key, Json value) {
    if (kind() == Kind::null)
        value_ = Object();
    if (Json * old = const_cast<Json *>(find(key)))
        *old = std::move(value);
    else if (Object * object = std::get_if<Object>(&value_))
        object->emplace_back(std::move(key), std::move(value));
    else
        wrong_kind(key, kind(), Kind::object);
}

const std::string * repeated_key(const Json::Object & object) {
    // Sorted, not hashed: a file cannot choose keys that make it slow.
    std::vector<const std::string *> keys;
    keys.reserve(object.size());
    for (const auto & entry : object)
        keys.push_back(&entry.first);
    const auto less = [](const std::string * a, const std::string * b) { return *a < *b; };
    const auto same = [](const std::string * a, const std::string * b) { return *a == *b; };
    std::sort(keys.begin(), keys.end(), less);
    const auto twice = std::adjacent_find(keys.begin(), keys.end(), same);
    return twice == keys.end() ? nullptr : *twice;
}

namespace {

// After a backslash, and what it stands for.
constexpr std::pair<char, char> escapes[] = {{'"', '"'},  {'\\', '\\'}, {'/', '/'},  {'b', '\b'},
                                             {'f', '\f'}, {'n', '\n'},  {'r', '\r'}, {'t', '\t'}};

class Parser {
public:
    Parser(std::string_view text, const std::string & what) : text_(text), what_(what) {}

    Json parse() {
        const size_t bad = utf8_error(text_);
        if (bad != std::string_view::npos) {
            at_ = bad;
            problem("is not UTF-8");
        }
        Json value = read(0);
        space();
        if (at_ != text_.size())
            problem("something follows the value");
        return value;
    }

private:
    [[noreturn]] void problem(const std::string & text) const {
        fail(LTX2_STATUS_MODEL, "%s: %s at byte %zu", what_.c_str(), text.c_str(), at_);
    }

    // The character here; 0 at the end, which no JSON allows outside of a string either.
    char here() const { return at_ < text_.size() ? text_[at_] : '\0'; }

    void space() {
        while (here() == ' ' || here() == '\n' || here() == '\t' || here() == '\r')
            ++at_;
    }

    bool take(char wanted) {
        const bool found = at_ < text_.size() && text_[at_] == wanted;
        at_ += found;
        return found;
    }

    void expect(char wanted) {
        if (!take(wanted))
            problem(words("no '%c'", wanted));
    }

    Json read(int depth) {
        if (++values_ > Json::max_values)
            problem("too many values");
        space();
        switch (here()) {
        case '{':
            return object(depth);
        case '[':
            return array(depth);
        case '"':
            return string();
        case 't':
            return word("true", true);
        case 'f':
            return word("false", false);
        case 'n':
            return word("null", Json());
        default:
            return number();
        }
    }

    Json word(std::string_view wanted, Json value) {
        if (text_.substr(at_, wanted.size()) != wanted)
            problem("no JSON value");
        at_ += wanted.size();
        return value;
    }

    // From a bracket to the one that closes it; `item` reads what stands between two commas.
    template <class Item>
    void items(int depth, char end, Item item) {
        if (depth >= Json::max_depth)
            problem("nested too deep");
        ++at_; // the bracket
        space();
        for (bool more = !take(end); more;) {
            item();
            space();
            more = !take(end);
            if (more)
                expect(',');
        }
    }

    Json array(int depth) {
        Json::Array values;
        items(depth, ']', [&] { values.push_back(read(depth + 1)); });
        return values;
    }

    Json object(int depth) {
        Json::Object entries;
        items(depth, '}', [&] {
            space();
            std::string key = string();
            space();
            expect(':');
            entries.emplace_back(std::move(key), read(depth + 1));
        });
        if (const std::string * key = repeated_key(entries))
            problem("key " + shown(*key) + " occurs twice in the object that ends");
        return entries;
    }

    std::string string() {
        expect('"');
        std::string out;
        while (true) {
            const size_t start = at_;
            while (at_ < text_.size() && text_[at_] != '"' && text_[at_] != '\\' &&
                   static_cast<uint8_t>(text_[at_]) >= 0x20) {
                ++at_;
            }
            out.append(text_.substr(start, at_ - start));
            if (take('"'))
                return out;
            if (!take('\\'))
                problem(at_ < text_.size() ? "a bare control character in a string"
                                           : "a string without an end");
            escape(out);
        }
    }

    void escape(std::string & out) {
        const char c = here();
        at_ += at_ < text_.size();
        if (c == 'u')
            return append_utf8(out, code_point());
        const auto * known = std::find_if(std::begin(escapes), std::end(escapes),
                                          [&](auto pair) { return pair.first == c; });
        if (known == std::end(escapes))
            problem("an unknown escape in a string");
        out += known->second;
    }

    uint32_t hex4() {
        uint32_t value = 0;
        const std::string_view text = text_.substr(at_, 4);
        const char * end = text.data() + text.size();
        if (text.size() < 4 || std::from_chars(text.data(), end, value, 16).ptr != end)
            problem("\\u without four hexadecimal digits");
        at_ += 4;
        return value;
    }

    uint32_t code_point() {
        const uint32_t high = hex4();
        if (high < 0xD800 || high > 0xDFFF)
            return high;
        if (high < 0xDC00 && take('\\') && take('u')) {
            const uint32_t low = hex4();
            if (low >= 0xDC00 && low <= 0xDFFF)
                return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
        }
        problem("half of a surrogate pair");
    }

    static void append_utf8(std::string & out, uint32_t code) {
        static constexpr uint32_t leads[] = {0, 0xC0, 0xE0, 0xF0}; // by the bytes that follow
        const int follow = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
        out += static_cast<char>(leads[follow] | code >> (6 * follow));
        for (int i = follow - 1; i >= 0; --i)
            out += static_cast<char>(0x80 | (code >> (6 * i) & 0x3F));
    }

    void digits() {
        if (here() < '0' || here() > '9')
            problem("no JSON value");
        while (here() >= '0' && here() <= '9')
            ++at_;
    }

    Json number() {
        const size_t start = at_;
        take('-');
        if (!take('0'))
            digits();
        if (take('.'))
            digits();
        if (take('e') || take('E')) {
            if (!take('+'))
                take('-');
            digits();
        }
        const std::string_view text = text_.substr(start, at_ - start);
        const bool whole = text.find_first_of(".eE") == std::string_view::npos;
        int64_t integer = 0;
        if (whole &&
            std::from_chars(text.data(), text.data() + text.size(), integer).ec == std::errc())
            return integer;
        return real(text);
    }

    // Independent of the process's locale, unlike strtod.
    double real(std::string_view text) const {
        double value = 0;
#if defined(__cpp_lib_to_chars)
        const bool ok =
            std::from_chars(text.data(), text.data() + text.size(), value).ec == std::errc();
#else
        std::istringstream stream{std::string(text)};
        stream.imbue(std::locale::classic());
        const bool ok = static_cast<bool>(stream >> value);
#endif
        if (!ok)
            problem("a number past double's range ends");
        return value;
    }

    std::string_view text_;
    const std::string & what_;
    size_t at_ = 0;
    size_t values_ = 0;
};

} // namespace

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
    text.imbue(std::locale::classic());
    for (int digits : {15, 17}) {
        text.str("");
        text << std::setprecision(digits) << value;
        double again = 0;
        std::istringstream back(text.str());
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
    } else if (const std::string * text = std::get_if<std::string>(&value_))
        dump_string(out, *text);
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

Json Json::parse(std::string_view text, const std::string & what) {
    return Parser(text, what).parse();
}

} // namespace ltx2
