// Text from files: is it UTF-8, and how is it shown in a message.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ltx2 {

// The offset of the first byte that is no part of valid UTF-8 (overlong forms, surrogates and
// values past U+10FFFF are not valid), or npos.
size_t utf8_error(std::string_view text);
// The length in bytes of the character that `text` begins with; 0 where that is not valid UTF-8.
size_t utf8_length(std::string_view text);

// In quotes, on one line: control characters and bad bytes escaped, cut after about `limit` bytes.
std::string shown(std::string_view text, size_t limit = 80);

} // namespace ltx2
