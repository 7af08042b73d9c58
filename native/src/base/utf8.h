// Text from outside: is it UTF-8, and how is it shown in a message.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace ltx2 {

// The offset of the first byte that is no part of valid UTF-8 (overlong forms, surrogates and
// values past U+10FFFF are not valid), or npos.
size_t utf8_error(std::string_view text);
// The length in bytes of the character that `text` begins with; 0 where that is not valid UTF-8.
size_t utf8_length(std::string_view text);
uint32_t code_point(std::string_view character); // one, valid

std::string_view stripped(std::string_view text); // as Python's str.strip()

// How the character that `text`, not empty, begins with is shown to a person: as it is, or escaped
// where it would show as something else: no text, a control character, an end of a line, a mark of
// another direction of writing.
struct Glyph {
    size_t length;  // of the character, in the text
    char words[12]; // how it is shown, ended by a zero
};
Glyph glyph(std::string_view text);

// Words from outside, made safe to show: names, paths and metadata may hold anything. An Error and
// the log pass all of their words through this; a name among them is put in by `shown`. Cut after
// about `limit` bytes.
std::string visible(std::string_view text, size_t limit = std::string_view::npos);
std::string shown(std::string_view text, size_t limit = 200); // the same in quotes

} // namespace ltx2
