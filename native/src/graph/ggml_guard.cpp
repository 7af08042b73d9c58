#include "graph/ggml_guard.h"

#include "kernels/variant.h"

#include <new>

// native/cmake/patches
extern "C" ggml_context * ggml_init_in(void * memory, size_t size);
extern "C" ggml_threadpool * ggml_threadpool_try_new(int threads);

namespace ltx2 {

void check_processor() {
#if defined(__x86_64__)
    if ((ggml_cpu_has_avx2() && !kernels::has_avx2()) ||
        (ggml_cpu_has_avx512() && !kernels::has_avx512()))
        fail(LTX2_STATUS_DEVICE, "device: this build needs a processor with %s",
             ggml_cpu_has_avx512() ? "AVX-512" : "AVX2, FMA, F16C and BMI2");
#endif
}

ContextPtr make_context(size_t tensors) {
    const size_t size = 256 + tensors * ggml_tensor_overhead() + // its own struct, and
                        ggml_graph_overhead_custom(tensors, false);
    return ContextPtr(ggml_init_in(::operator new(size), size));
}

void free_context(ggml_context * context) { ::operator delete(context); }

PoolPtr make_pool(int threads) {
    PoolPtr pool(ggml_threadpool_try_new(threads));
    if (!pool)
        fail(LTX2_STATUS_OUT_OF_MEMORY, "memory: the system does not give %d more threads%s",
             threads - 1, threads > 2 ? "; fewer may do" : "");
    return pool;
}

// The program's own memory is allocated here: ggml would lose it where the little that describes
// the buffer cannot be had.
Buffer::Buffer(ggml_backend_buffer_type_t type, size_t size, const char * values) {
    const bool own = type == ggml_backend_cpu_buffer_type();
    if (own) {
        memory_ = new_pages(size);
        if (memory_)
            buffer_.reset(ggml_backend_cpu_buffer_from_ptr(memory_.get(), size));
    } else {
        buffer_.reset(ggml_backend_buft_alloc_buffer(type, size));
    }
    if (!buffer_)
        fail(LTX2_STATUS_OUT_OF_MEMORY, "memory: %zu MiB of %s do not fit", size >> 20, values);
}

Buffer::Buffer(size_t & count, size_t size) : counted_(counted(count, size)) {
    void * nowhere = reinterpret_cast<void *>(uintptr_t{1} << 12);
    buffer_.reset(ggml_backend_cpu_buffer_from_ptr(nowhere, size));
    if (!buffer_)
        throw std::bad_alloc();
}

} // namespace ltx2
