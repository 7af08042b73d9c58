// Memory for large values. Where the system gives pages on their own, they come from there and go
// back to it at once: an allocator would keep some of what is freed, more than a tenth of what a
// long decode takes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace ltx2 {

constexpr size_t pages_alignment = 64;

struct FreePages {
    size_t size = 0;
    void operator()(void * p) const;
};
using Pages = std::unique_ptr<void, FreePages>;

// `size` bytes, with no values; null where they cannot be had.
Pages new_pages(size_t size);
uint64_t pages_held(); // bytes of all in the program, at this moment

} // namespace ltx2
