// In place of the standard library's operators, which is why this is a file of its own.
#include "memory.h"

#include "fuzz.h"

#include <cstdlib>
#include <new>

#if defined(__APPLE__)
#include <malloc/malloc.h>
static size_t allocated_size(void * pointer) { return malloc_size(pointer); }
#elif defined(_WIN32)
#include <malloc.h>
static size_t allocated_size(void * pointer) { return _msize(pointer); }
#else
#include <malloc.h>
static size_t allocated_size(void * pointer) { return malloc_usable_size(pointer); }
#endif

static size_t * most_held = nullptr; // null: nothing is counted
static size_t held = 0, limit = 0;

CountedMemory::CountedMemory(size_t allowed, size_t & most) {
    held = most = 0;
    limit = allowed;
    most_held = &most;
}

CountedMemory::~CountedMemory() { most_held = nullptr; }

UncountedMemory::UncountedMemory() : before_(most_held) { most_held = nullptr; }
UncountedMemory::~UncountedMemory() { most_held = before_; }

void * operator new(size_t size, const std::nothrow_t &) noexcept {
    void * pointer = std::malloc(size ? size : 1);
    if (!pointer || !most_held)
        return pointer;
    held += allocated_size(pointer);
    *most_held = held > *most_held ? held : *most_held;
    if (held > limit) {
        most_held = nullptr;
        finding("memory: %zu bytes are held, %zu allowed", held, limit);
    }
    return pointer;
}

void * operator new(size_t size) {
    void * pointer = operator new(size, std::nothrow);
    if (!pointer)
        throw std::bad_alloc();
    return pointer;
}

void operator delete(void * pointer) noexcept {
    if (most_held && pointer) {
        const size_t size = allocated_size(pointer);
        held -= size < held ? size : held; // it may be from before
    }
    std::free(pointer);
}

void * operator new[](size_t size) { return operator new(size); }
void * operator new[](size_t size, const std::nothrow_t & tag) noexcept {
    return operator new(size, tag);
}
void operator delete(void * pointer, const std::nothrow_t &) noexcept { operator delete(pointer); }
void operator delete[](void * p, const std::nothrow_t &) noexcept { operator delete(p); }
void operator delete(void * pointer, size_t) noexcept { operator delete(pointer); }
void operator delete[](void * pointer) noexcept { operator delete(pointer); }
void operator delete[](void * pointer, size_t) noexcept { operator delete(pointer); }
