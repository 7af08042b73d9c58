// Characters of valid UTF-8.
#pragma once

#include <cstddef>
#include <string_view>

namespace ltx2 {

size_t character_size(std::string_view text); // of the first character, in bytes; text not empty
std::string_view stripped(std::string_view text); // as Python's str.strip()

} // namespace ltx2
