// Memory that kernels work in, one node after the other. It is allocated once, since fresh pages
// cost more time than some kernels take.
#pragma once

#include "base/round.h"

#include <cstddef>
#include <memory>
#include <new>

namespace ltx2 {

class Scratch {
public:
    // At least so many floats from now on; their old values are lost. Throws std::bad_alloc.
    void reserve(size_t floats) {
        if (floats <= size_)
            return;
        release(); // first, so that both never exist together
        data_.reset(new float[floats + line]);
        size_ = floats;
    }
    // Starts at a cache line.
    float * data() const {
        void * at = data_.get();
        size_t space = (size_ + line) * sizeof(float);
        return static_cast<float *>(std::align(64, size_ * sizeof(float), at, space));
    }
    size_t size() const { return data_ ? (size_ + line) * sizeof(float) : 0; } // bytes
    void release() {
        data_.reset();
        size_ = 0;
    }
    static constexpr size_t line = 16; // a cache line, in floats

private:
    std::unique_ptr<float[]> data_;
    size_t size_ = 0;
};

// The most threads that compute a node, and the memory that each has to itself meanwhile.
struct Workers {
    int threads;
    Scratch & scratch;     // shared with other nodes, which run before or after
    size_t per_thread = 0; // floats

    void reserve(size_t floats) {
        per_thread = round_up(floats, Scratch::line);
        scratch.reserve(per_thread * static_cast<size_t>(threads));
    }
    float * room(int thread) const {
        return scratch.data() + per_thread * static_cast<size_t>(thread);
    }
};

} // namespace ltx2
