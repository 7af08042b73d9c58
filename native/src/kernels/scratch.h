// Memory that kernels work in, one node after the other: taken once, since fresh pages cost more
// than many a kernel.
#pragma once

#include "base/round.h"

#include <cstddef>
#include <memory>
#include <new>

namespace ltx2 {

class Scratch {
public:
    // At least so many floats from now on; what they were is lost. Throws std::bad_alloc.
    void reserve(size_t floats) {
        if (floats <= size_)
            return;
        release(); // first, so that the two are never there together
        data_.reset(new float[floats + line]);
        size_ = floats;
    }
    // Begins on a line of the cache.
    float * data() const {
        void * at = data_.get();
        size_t space = (size_ + line) * sizeof(float);
        return static_cast<float *>(std::align(64, size_ * sizeof(float), at, space));
    }
    void release() {
        data_.reset();
        size_ = 0;
    }
    static constexpr size_t line = 16; // of the cache, in floats

private:
    std::unique_ptr<float[]> data_;
    size_t size_ = 0;
};

// The threads that compute a node at most, and the room that each has to itself meanwhile.
struct Workers {
    int threads;
    Scratch & scratch; // which other nodes may share
    size_t each = 0;   // floats a thread

    void reserve(size_t floats) {
        each = round_up(floats, Scratch::line);
        scratch.reserve(each * static_cast<size_t>(threads));
    }
    float * room(int thread) const { return scratch.data() + each * static_cast<size_t>(thread); }
};

} // namespace ltx2
