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

uint32_t code_point(std::string_view character) {
    const auto first = static_cast<uint8_t>(character[0]);
    uint32_t code = character.size() == 1 ? first : first & (0x7F >> character.size());
    for (size_t i = 1; i < character.size(); ++i)
        code = code << 6 | (static_cast<uint8_t>(character[i]) & 0x3F);
    return code;
}

// What Python takes for a space.
static constexpr std::string_view spaces[] = {
    "\t",           "\n",           "\v",           "\f",           "\r",
    "\x1C",         "\x1D",         "\x1E",         "\x1F",         " ",
    "\xC2\x85",     "\xC2\xA0",     "\xE1\x9A\x80", "\xE2\x80\x80", "\xE2\x80\x81",
    "\xE2\x80\x82", "\xE2\x80\x83", "\xE2\x80\x84", "\xE2\x80\x85", "\xE2\x80\x86",
    "\xE2\x80\x87", "\xE2\x80\x88", "\xE2\x80\x89", "\xE2\x80\x8A", "\xE2\x80\xA8",
    "\xE2\x80\xA9", "\xE2\x80\xAF", "\xE2\x81\x9F", "\xE3\x80\x80"};

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

// Unicode's control and format characters, and its ends of lines and paragraphs.
static bool shows_as_itself(uint32_t code) {
    static constexpr uint32_t ranges[][2] = {
        {0, 0x1F},        {0x7F, 0x9F},       {0xAD, 0xAD},       {0x600, 0x605},
        {0x61C, 0x61C},   {0x6DD, 0x6DD},     {0x70F, 0x70F},     {0x180E, 0x180E},
        {0x200B, 0x200F}, {0x2028, 0x202E},   {0x2060, 0x206F},   {0xFEFF, 0xFEFF},
        {0xFFF9, 0xFFFB}, {0x110BD, 0x110BD}, {0x1D173, 0x1D17A}, {0xE0000, 0xE007F}};
    for (const auto & [first, last] : ranges)
        if (code >= first && code <= last)
            return false;
    return true;
}

Glyph glyph(std::string_view text) {
    Glyph out = {utf8_length(text), {}};
    const uint32_t code = out.length ? code_point(text.substr(0, out.length)) : 0;
    if (out.length && shows_as_itself(code))
        std::memcpy(out.words, text.data(), out.length);
    else if (code == '\n' || code == '\t' || code == '\r')
        std::snprintf(out.words, sizeof out.words, "\\%c",
                      code == '\n'   ? 'n'
                      : code == '\t' ? 't'
                                     : 'r');
    else if (out.length <= 1)
        std::snprintf(out.words, sizeof out.words, "\\x%02x", static_cast<uint8_t>(text[0]));
    else
        std::snprintf(out.words, sizeof out.words, code > 0xFFFF ? "\\U%08x" : "\\u%04x", code);
    out.length = out.length ? out.length : 1;
    return out;
}

// True where all of it was appended. In quotes, a quotation mark or a backslash is escaped.
static bool append(std::string & out, std::string_view text, size_t limit, bool quoted) {
    size_t at = 0;
    while (at < text.size() && at < limit) {
        const Glyph next = glyph(text.substr(at));
        if (quoted && (text[at] == '"' || text[at] == '\\'))
            out += '\\';
        out += next.words;
        at += next.length;
    }
    return at == text.size();
}

std::string visible(std::string_view text, size_t limit) {
    std::string out;
    if (!append(out, text, limit, false))
        out += "...";
    return out;
}

std::string shown(std::string_view text, size_t limit) {
    std::string out = "\"";
    const bool all = append(out, text, limit, true);
    return out + (all ? "\"" : "\"...");
}

} // namespace ltx2
