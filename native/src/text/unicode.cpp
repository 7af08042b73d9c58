#include "text/unicode.h"

#include "text/unicode_word.h"

#include <algorithm>
#include <iterator>

namespace ltx2 {

size_t character_size(std::string_view text) {
    const uint8_t lead = static_cast<uint8_t>(text.front());
    const size_t size = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    return std::min(size, text.size());
}

uint32_t first_character(std::string_view text) {
    const size_t size = character_size(text);
    const uint8_t lead = static_cast<uint8_t>(text.front());
    uint32_t value = size == 1 ? lead : lead & (0x7Fu >> size);
    for (size_t i = 1; i < size; ++i)
        value = value << 6 | (static_cast<uint8_t>(text[i]) & 0x3F);
    return value;
}

uint32_t last_character(std::string_view text) {
    size_t start = text.size() - 1;
    while (start > 0 && (text[start] & 0xC0) == 0x80)
        --start;
    return first_character(text.substr(start));
}

bool is_space(uint32_t c) {
    return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
           c == 0x205F || c == 0x3000;
}

bool is_python_space(uint32_t c) { return is_space(c) || (c >= 0x1C && c <= 0x1F); }

bool is_word(uint32_t c) {
    const auto after = std::upper_bound(
        std::begin(word_ranges), std::end(word_ranges), c,
        [](uint32_t value, const CharacterRange & range) { return value < range.first; });
    return after != std::begin(word_ranges) && c <= std::prev(after)->last;
}

std::string_view without_end(std::string_view text, bool (*is)(uint32_t)) {
    while (!text.empty() && is(last_character(text))) {
        while ((text.back() & 0xC0) == 0x80)
            text.remove_suffix(1);
        text.remove_suffix(1);
    }
    return text;
}

std::string_view without_start(std::string_view text, bool (*is)(uint32_t)) {
    while (!text.empty() && is(first_character(text)))
        text.remove_prefix(character_size(text));
    return text;
}

} // namespace ltx2
