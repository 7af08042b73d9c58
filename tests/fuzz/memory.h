// What an input takes of memory: all that C++ code allocates, and has not released, at a time.
#pragma once

#include <cstddef>

// While it lives, holding more than `allowed` bytes is a finding; `most` is the most so far.
class CountedMemory {
public:
    CountedMemory(size_t allowed, size_t & most);
    ~CountedMemory();
    CountedMemory(const CountedMemory &) = delete;
    CountedMemory & operator=(const CountedMemory &) = delete;
};
