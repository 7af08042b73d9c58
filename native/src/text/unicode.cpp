#include "text/unicode.h"

#include <algorithm>
#include <cstdint>

namespace ltx2 {

size_t character_size(std::string_view text) {
    const uint8_t lead = static_cast<uint8_t>(text.front());
    const size_t size = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    return std::min(size, text.size());
}

static uint32_t first_character(std::string_view text) {
    const size_t size = character_size(text);
    const uint8_t lead = static_cast<uint8_t>(text.front());
    uint32_t value = size == 1 ? lead : lead & (0x7Fu >> size);
    for (size_t i = 1; i < size; ++i)
        value = value << 6 | (static_cast<uint8_t>(text[i]) & 0x3F);
    return value;
}

static bool is_space(uint32_t c) {
    return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
           c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 ||
           c == 0x202F || c == 0x205F || c == 0x3000;
}

std::string_view stripped(std::string_view text) {
    while (!text.empty() && is_space(first_character(text)))
        text.remove_prefix(character_size(text));
    while (!text.empty()) {
        size_t last = text.size() - 1;
        while (last > 0 && (text[last] & 0xC0) == 0x80)
            --last;
        if (!is_space(first_character(text.substr(last))))
            break;
        text.remove_suffix(text.size() - last);
    }
    return text;
}

} // namespace ltx2
