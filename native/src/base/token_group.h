// Tokens that lie together, and how far they are seen by others.
#pragma once

#include <cstdint>

namespace ltx2 {

// Of a row of tokens. The first group and any other see of each other the group's share, where 1
// is all; other groups do not see each other. Within a group all is seen.
struct TokenGroup {
    int64_t tokens;
    float share = 1; // above 0
};

} // namespace ltx2
