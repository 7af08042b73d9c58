// Keeps a mapped file that another program shortens, or whose disk fails, from ending the process:
// the system answers a read of what is gone with the signal SIGBUS. While any range is watched, a
// handler puts zeros in the place of the range that was hit, and marks it; whoever reads it asks
// afterwards. Every other SIGBUS goes to whom it went before. Nothing of it is needed on Windows,
// where a mapped file cannot be shortened. docs/decisions/0007-files-that-change.md says more.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace ltx2 {

// A range of mapped memory; one that is not used has size 0. Never freed, since a handler may be
// looking at it.
struct Watched {
    std::atomic<uintptr_t> begin{0};
    std::atomic<size_t> size{0};
    std::atomic<bool> lost{false}; // it holds zeros now
    Watched * next = nullptr;      // fixed once it is in the list
};

Watched * watch(const void * begin, size_t size); // before the first read; throws std::bad_alloc
void unwatch(Watched * range);                    // before it is unmapped

} // namespace ltx2
