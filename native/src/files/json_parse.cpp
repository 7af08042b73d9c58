#include "base/utf8.h"
#include "files/json.h"
#include "files/json_packed.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <locale>
#include <sstream>

namespace ltx2 {

namespace {

class Parser {
public:
    Parser(std::string_view text, const std::string & what) : text_(text), what_(what) {}

    Json parse() {
        if (text_.size() > Json::max_bytes)
            problem(words("%zu bytes, over the limit of %zu,", text_.size(), Json::max_bytes));
        const size_t bad = utf8_error(text_);
        if (bad != std::string_view::npos) {
            at_ = bad;
            problem("is not UTF-8");
        }
        out_.bytes.reserve(most_packed());
        read(0);
        space();
        if (at_ != text_.size())
            problem("something follows the value");
        return Json::unpacked(std::move(out_.bytes));
    }

private:
    [[noreturn]] void problem(const std::string & text) const {
        fail(LTX2_STATUS_MODEL, "%s: %s at byte %zu", what_.c_str(), text.c_str(), at_);
    }

    // What is packed takes no more bytes than its text, but an array or object, which may take four
    // more, and a number that is no integer, five. It is asked for once: text that makes the bytes
    // grow would need both the old and the new ones.
    size_t most_packed() const {
        size_t most = text_.size() + text_.size() / 1024 + 16;
        char before = 0;
        for (const char c : text_) {
            const bool real = c == '.' || c == 'e' || c == 'E';
            most += (c == '[' || c == '{') * 4 + (real && before >= '0' && before <= '9') * 5;
            before = c;
        }
        return std::min(most, 3 * text_.size() + 16);
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

    void read(int depth) {
        if (++values_ > Json::max_values)
            problem("too many values");
        space();
        switch (here()) {
        case '{':
            return object(depth);
        case '[':
            return array(depth);
        case '"':
            return string(&Packer::string);
        case 't':
            word("true");
            return out_.scalar(Tag::boolean, true);
        case 'f':
            word("false");
            return out_.scalar(Tag::boolean, false);
        case 'n':
            word("null");
            return out_.tag(Tag::null);
        default:
            return number();
        }
    }

    void word(std::string_view wanted) {
        if (text_.substr(at_, wanted.size()) != wanted)
            problem("no JSON value");
        at_ += wanted.size();
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

    void array(int depth) {
        const size_t inside = out_.open(Tag::array);
        items(depth, ']', [&] { read(depth + 1); });
        out_.close(inside);
    }

    void object(int depth) {
        const size_t inside = out_.open(Tag::object);
        items(depth, '}', [&] {
            space();
            string(&Packer::text);
            space();
            expect(':');
            read(depth + 1);
        });
        out_.close(inside);
        const std::string key = repeated_key(std::string_view(out_.bytes).substr(inside));
        if (!key.empty())
            problem("key " + key + " occurs twice in the object that ends");
    }

    void string(void (Packer::*put)(std::string_view)) {
        expect('"');
        std::string_view text = plain();
        if (take('"')) // most have no escapes
            return (out_.*put)(text);
        unescaped_.reserve(text.size() + raw_rest());
        unescaped_ = text;
        while (!take('"')) {
            if (!take('\\'))
                problem(at_ < text_.size() ? "a bare control character in a string"
                                           : "a string without an end");
            escape(unescaped_);
            unescaped_ += plain();
        }
        (out_.*put)(unescaped_);
    }

    // The bytes up to the quotation mark that ends the string: the most that it can have.
    size_t raw_rest() const {
        size_t i = at_;
        while (i < text_.size() && text_[i] != '"')
            i += text_[i] == '\\' ? 2 : 1;
        return std::min(i, text_.size()) - at_;
    }

    // Up to what ends a string, or is no character of one as it is.
    std::string_view plain() {
        const size_t start = at_;
        while (at_ < text_.size() && text_[at_] != '"' && text_[at_] != '\\' &&
               static_cast<uint8_t>(text_[at_]) >= 0x20)
            ++at_;
        return text_.substr(start, at_ - start);
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

    void number() {
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
            return out_.integer(integer);
        out_.scalar(Tag::f64, real(text));
    }

    // Independent of the process's locale, unlike strtod.
    double real(std::string_view text) const {
        double value = 0;
#if defined(__cpp_lib_to_chars)
        const bool ok =
            std::from_chars(text.data(), text.data() + text.size(), value).ec == std::errc();
#else
        std::istringstream stream{std::string(text)};
        stream.exceptions(std::ios::badbit); // which memory that ran out would hide otherwise
        stream.imbue(std::locale::classic());
        // libc++ fails at what is below the normal numbers too, and has read it all the same.
        const bool ok = stream >> value || (value != 0 && std::abs(value) < 1);
#endif
        if (!ok)
            problem("a number past double's range ends");
        return value;
    }

    std::string_view text_;
    const std::string & what_;
    size_t at_ = 0;
    size_t values_ = 0;
    std::string unescaped_;
    Packer out_;
};

} // namespace

Json Json::parse(std::string_view text, const std::string & what) {
    return Parser(text, what).parse();
}

} // namespace ltx2
