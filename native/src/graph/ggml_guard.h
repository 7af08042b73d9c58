// ggml ends the process where it does not get the memory or the threads that it asks for. So what
// it needs is got here, where a failure is an exception, and handed to it:
// docs/decisions/0004-ggml-guard.md lists the cases.
#pragma once

#include "base/aborts.h"
#include "base/error.h"
#include "base/pages.h"
#include "graph/tally.h"

#include "ggml-backend.h"
#include "ggml-cpu.h"

#include <cstdint>
#include <memory>

namespace ltx2 {

template <auto Free>
struct Deleter {
    template <class T>
    void operator()(T * p) const {
        Free(p);
    }
};
void free_context(ggml_context * context); // make_context's
using ContextPtr = std::unique_ptr<ggml_context, Deleter<free_context>>;
using PoolPtr = std::unique_ptr<ggml_threadpool, Deleter<ggml_threadpool_free>>;

// DEVICE where the processor lacks instructions that ggml's own code was compiled to.
void check_processor();

// Frees what a device may fail to free.
template <auto Free>
struct Freed {
    template <class T>
    void operator()(T * p) const {
        try {
            const AbortsThrow aborts_throw;
            Free(p);
        } catch (...) { // it is lost with the device
        }
    }
};
using BufferPtr = std::unique_ptr<ggml_backend_buffer, Freed<ggml_backend_buffer_free>>;

// Metadata of `tensors` tensors (and a graph of as many nodes), no data. Throws std::bad_alloc.
ContextPtr make_context(size_t tensors);

// The threads that compute a session's graphs, the caller's and `threads` - 1 more: made for a
// stage, asleep between its graphs, ended after it, so that a waiting program has none and may
// fork. OUT_OF_MEMORY where the system does not give them.
PoolPtr make_pool(int threads);

// Memory of a device for the data of tensors.
class Buffer {
public:
    static constexpr size_t alignment = pages_alignment; // of what lies in the program's own memory

    Buffer() = default;
    // OUT_OF_MEMORY, which says that these `values` do not fit.
    Buffer(ggml_backend_buffer_type_t type, size_t size, const char * values);
    // Added to `count` until it goes. There is no memory: nothing may read or write what lies here.
    Buffer(size_t & count, size_t size);

    explicit operator bool() const { return buffer_ != nullptr; }
    ggml_backend_buffer_t get() const { return buffer_.get(); }
    size_t size() const { return buffer_ ? ggml_backend_buffer_get_size(get()) : 0; }
    // Where tensor data may begin.
    uint8_t * data() const { return static_cast<uint8_t *>(ggml_backend_buffer_get_base(get())); }

private:
    Pages memory_; // the program's own, if it lies there
    Counted counted_;
    BufferPtr buffer_;
};

} // namespace ltx2
