// Memory that kernels work in, one node after the other: taken once, since fresh pages cost more
// than many a kernel.
#pragma once

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
        data_.reset(); // first, so that the two are never there together
        size_ = 0;
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

private:
    static constexpr size_t line = 16;
    std::unique_ptr<float[]> data_;
    size_t size_ = 0;
};

} // namespace ltx2
