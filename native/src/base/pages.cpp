#include "base/pages.h"

#include <atomic>
#include <new>

#if defined(__unix__) || defined(__APPLE__)
#include <sys/mman.h>
#endif

namespace ltx2 {

static std::atomic<uint64_t> held{0};

uint64_t pages_held() { return held; }

#if defined(__unix__) || defined(__APPLE__)

// What is smaller an allocator keeps without harm, and a mapping is a call of the system.
static bool is_large(size_t size) { return size >= size_t{1} << 20; }

static void * map(size_t size) {
    const int access = PROT_READ | PROT_WRITE, kind = MAP_PRIVATE | MAP_ANONYMOUS;
    void * p = mmap(nullptr, size, access, kind, /*fd=*/-1, 0);
    return p == MAP_FAILED ? nullptr : p;
}
static void unmap(void * p, size_t size) { munmap(p, size); }

#else

static bool is_large(size_t) { return false; }
static void * map(size_t) { return nullptr; }
static void unmap(void *, size_t) {}

#endif

Pages new_pages(size_t size) {
    void * p = is_large(size)
                   ? map(size)
                   : ::operator new(size, std::align_val_t(pages_alignment), std::nothrow);
    if (p)
        held += size;
    return Pages(p, {size});
}

void FreePages::operator()(void * p) const {
    held -= size;
    if (is_large(size))
        unmap(p, size);
    else
        ::operator delete(p, std::align_val_t(pages_alignment));
}

} // namespace ltx2
