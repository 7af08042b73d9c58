// Characters: how long they are in UTF-8, and the three classes the tokenizer asks for. The text
// must be valid UTF-8 and, where one character is asked for, not empty.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace ltx2 {

size_t character_size(std::string_view text); // of the first character, in bytes
uint32_t first_character(std::string_view text);
uint32_t last_character(std::string_view text);

bool is_space(uint32_t character);        // White_Space, the \s of Hugging Face's tokenizers
bool is_python_space(uint32_t character); // what Python's str.strip() takes away
bool is_word(uint32_t character);         // the \w of Hugging Face's tokenizers

// `text` without what `is` accepts at its end, or at its beginning.
std::string_view without_end(std::string_view text, bool (*is)(uint32_t));
std::string_view without_start(std::string_view text, bool (*is)(uint32_t));

} // namespace ltx2
