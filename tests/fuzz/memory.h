// What an input takes of memory: all that C++ code allocates, and has not released, at a time.
#pragma once

#include <cstddef>

// While it lives, nothing is counted: what is done is not the input's doing.
class UncountedMemory {
public:
    UncountedMemory();
    ~UncountedMemory();
    UncountedMemory(const UncountedMemory &) = delete;
    UncountedMemory & operator=(const UncountedMemory &) = delete;

private:
    size_t * before_;
};

// While it lives, holding more than `allowed` bytes is a finding; `most` is the most so far.
class CountedMemory {
public:
    CountedMemory(size_t allowed, size_t & most);
    ~CountedMemory();
    CountedMemory(const CountedMemory &) = delete;
    CountedMemory & operator=(const CountedMemory &) = delete;
};
