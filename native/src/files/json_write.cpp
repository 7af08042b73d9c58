#include "files/json.h"

#include <charconv>
#include <limits>
#include <locale>
#include <sstream>

namespace ltx2 {

static void write_string(std::string_view text, std::string & out) {
    out += '"';
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (static_cast<uint8_t>(c) < 0x20) {
            out += words("\\u%04x", static_cast<unsigned>(c));
        } else {
            out += c;
        }
    }
    out += '"';
}

// The shortest that reads back as the same number, whatever the process's locale.
static std::string real_text(double value) {
#if defined(__cpp_lib_to_chars)
    char digits[32];
    std::string text(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
#else
    std::ostringstream stream;
    stream.imbue(std::locale::classic());
    stream.precision(std::numeric_limits<double>::max_digits10);
    stream << value;
    std::string text = stream.str();
#endif
    return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
}

static void write(const Json & value, std::string & out) {
    const char * separator = "";
    switch (value.kind()) {
    case Json::Kind::null:
        out += "null";
        return;
    case Json::Kind::boolean:
        out += value.boolean("") ? "true" : "false";
        return;
    case Json::Kind::number:
        out += value.is_integer() ? std::to_string(value.integer("")) : real_text(value.number(""));
        return;
    case Json::Kind::string:
        write_string(value.string(""), out);
        return;
    case Json::Kind::array:
        out += '[';
        for (const Json & item : value.array("")) {
            out += separator;
            write(item, out);
            separator = ", ";
        }
        out += ']';
        return;
    case Json::Kind::object:
        out += '{';
        for (const auto & [key, item] : value.object("")) {
            out += separator;
            write_string(key, out);
            out += ": ";
            write(item, out);
            separator = ", ";
        }
        out += '}';
    }
}

std::string write_json(const Json & value) {
    std::string out;
    write(value, out);
    return out;
}

} // namespace ltx2
