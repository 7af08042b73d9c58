#include "base/utf8.h"

#include <cstdint>
#include <cstdio>
#include <cstring>

namespace ltx2 {

size_t utf8_length(std::string_view text) {
    const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
    const uint8_t first = byte(0);
    if (first < 0x80)
        return 1;
    if (first < 0xC2 || first > 0xF4)
        return 0;
    const size_t length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    if (text.size() < length)
        return 0;
    for (size_t i = 1; i < length; ++i)
        if ((byte(i) & 0xC0) != 0x80)
            return 0;
    const uint8_t second = byte(1);
    const bool overlong = (first == 0xE0 && second < 0xA0) || (first == 0xF0 && second < 0x90);
    const bool surrogate = first == 0xED && second >= 0xA0;
    const bool past_end = first == 0xF4 && second >= 0x90;
    return overlong || surrogate || past_end ? 0 : length;
}

size_t utf8_error(std::string_view text) {
    size_t at = 0;
    while (at < text.size()) {
        // Most text is ASCII: eight bytes at once.
        uint64_t eight;
        if (text.size() - at >= sizeof eight) {
            std::memcpy(&eight, text.data() + at, sizeof eight);
            if ((eight & 0x8080808080808080u) == 0) {
                at += sizeof eight;
                continue;
            }
        }
        const size_t length = utf8_length(text.substr(at));
        if (length == 0)
            return at;
        at += length;
    }
    return std::string_view::npos;
}

std::string shown(std::string_view text, size_t limit) {
    std::string out = "\"";
    size_t at = 0;
    while (at < text.size() && at < limit) {
        const size_t length = utf8_length(text.substr(at));
        const auto byte = static_cast<uint8_t>(text[at]);
        if (length == 0 || byte < 0x20 || byte == 0x7F) {
            char escape[8];
            std::snprintf(escape, sizeof escape, "\\x%02x", static_cast<unsigned>(byte));
            out += byte == '\n' ? "\\n" : byte == '\t' ? "\\t" : escape;
        } else {
            if (byte == '"' || byte == '\\')
                out += '\\';
            out.append(text.substr(at, length));
        }
        at += length == 0 ? 1 : length;
    }
    return out + (at < text.size() ? "\"..." : "\"");
}

} // namespace ltx2
