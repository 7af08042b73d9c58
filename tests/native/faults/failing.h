// Calls into the system that fail on order: this program has functions of its own where the library
// expects malloc, pthread_create, mmap, open, read.
#pragma once

#include <vector>

namespace failing {

// `memory` is malloc and its kin; where a sanitizer needs those for itself, operator new.
enum class Kind { memory, thread, map, open, read };

// Of the calls from now on the `n`th fails, or all from it on; with n 0 they are only counted.
void begin(Kind kind, bool from, long n);
// No more. How many calls of the kind there were.
long end();

// The numbers of the calls since `begin` that came from a new place, which is a stack of callers.
// Only where `begin` was called with n 0.
std::vector<long> places();

// Blocks of memory in use now.
long live_blocks();

} // namespace failing
