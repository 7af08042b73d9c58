#include "faults/failing.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <new>

#include <dlfcn.h>
#include <execinfo.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/types.h>

namespace failing {

static Kind kind;
static bool from;
static long nth;
static std::atomic<bool> armed{false};
static std::atomic<long> calls{0}, live{0};

// Plain arrays: nothing here may allocate.
static constexpr size_t most_places = 1 << 16;
static size_t known[most_places];
static long first_calls[most_places];
static size_t place_count;
static std::atomic_flag noting = ATOMIC_FLAG_INIT;

static void note_place(long call) {
    void * callers[32];
    const int depth = backtrace(callers, 32);
    size_t hash = 1;
    for (int i = 0; i < depth; ++i)
        hash = hash * 1099511628211u + reinterpret_cast<size_t>(callers[i]);
    while (noting.test_and_set()) {
    }
    size_t at = hash % most_places;
    while (known[at] && known[at] != hash)
        at = (at + 1) % most_places;
    if (!known[at] && place_count < most_places / 2) {
        known[at] = hash;
        first_calls[place_count++] = call;
    }
    noting.clear();
}

// Whether this call has to.
static bool fails(Kind of) {
    if (of != kind || !armed)
        return false;
    const long call = ++calls;
    if (nth)
        return from ? call >= nth : call == nth;
    static thread_local bool inside = false; // backtrace allocates when first called
    if (!inside) {
        inside = true;
        note_place(call);
        inside = false;
    }
    return false;
}

void begin(Kind of, bool all_from, long n) {
    kind = of, from = all_from, nth = n;
    place_count = 0;
    std::fill(std::begin(known), std::end(known), 0);
    calls = 0;
    armed = true;
}

long end() {
    armed = false;
    return calls;
}

std::vector<long> places() {
    std::vector<long> all(first_calls, first_calls + place_count);
    std::sort(all.begin(), all.end());
    return all;
}

long live_blocks() { return live; }

// The function that the program's own hides.
template <class Function>
static Function * hidden(const char * name) {
    return reinterpret_cast<Function *>(dlsym(RTLD_NEXT, name));
}

} // namespace failing

using failing::fails;
using failing::hidden;
using failing::Kind;

#if defined(LTX2_FAULTS_OF_NEW) // under a sanitizer, whose malloc has to be its own

// Null where it has to fail.
static void * made(size_t size, size_t alignment = 16) {
    if (fails(Kind::memory))
        return nullptr;
    void * block = std::aligned_alloc(alignment, (size / alignment + 1) * alignment);
    failing::live += block != nullptr;
    return block;
}
static void * made_or_thrown(size_t size) {
    if (void * block = made(size))
        return block;
    throw std::bad_alloc();
}
static void freed(void * block) {
    failing::live -= block != nullptr;
    std::free(block);
}
void * operator new(size_t size) { return made_or_thrown(size); }
void * operator new[](size_t size) { return made_or_thrown(size); }
void * operator new(size_t size, const std::nothrow_t &) noexcept { return made(size); }
void * operator new(size_t size, std::align_val_t alignment, const std::nothrow_t &) noexcept {
    return made(size, static_cast<size_t>(alignment));
}
void operator delete(void * block) noexcept { freed(block); }
void operator delete[](void * block) noexcept { freed(block); }
void operator delete(void * block, size_t) noexcept { freed(block); }
void operator delete[](void * block, size_t) noexcept { freed(block); }
void operator delete(void * block, const std::nothrow_t &) noexcept { freed(block); }
void operator delete(void * block, std::align_val_t) noexcept { freed(block); }

#else

extern "C" {

void * __libc_malloc(size_t);
void * __libc_calloc(size_t, size_t);
void * __libc_realloc(void *, size_t);
void * __libc_memalign(size_t, size_t);
void __libc_free(void *);

static void * counted(void * block) {
    failing::live += block != nullptr;
    return block;
}
static void * none() {
    errno = ENOMEM;
    return nullptr;
}

void * malloc(size_t size) { return fails(Kind::memory) ? none() : counted(__libc_malloc(size)); }
void * calloc(size_t count, size_t size) {
    return fails(Kind::memory) ? none() : counted(__libc_calloc(count, size));
}
void * realloc(void * block, size_t size) {
    if (fails(Kind::memory))
        return none();
    failing::live -= block != nullptr;
    return counted(__libc_realloc(block, size));
}
void * aligned_alloc(size_t alignment, size_t size) {
    return fails(Kind::memory) ? none() : counted(__libc_memalign(alignment, size));
}
int posix_memalign(void ** out, size_t alignment, size_t size) {
    void * block = aligned_alloc(alignment, size);
    if (block)
        *out = block;
    return block ? 0 : ENOMEM;
}
void free(void * block) {
    failing::live -= block != nullptr;
    __libc_free(block);
}

} // extern "C"

#endif

extern "C" {

int pthread_create(pthread_t * out, const pthread_attr_t * attributes, void * (*run)(void *),
                   void * data) {
    static auto * const real = hidden<decltype(pthread_create)>("pthread_create");
    return fails(Kind::thread) ? EAGAIN : real(out, attributes, run, data);
}

void * mmap(void * at, size_t size, int protection, int flags, int file, off_t offset) {
    static auto * const real = hidden<decltype(mmap)>("mmap");
    if (!fails(Kind::map))
        return real(at, size, protection, flags, file, offset);
    errno = ENOMEM;
    return MAP_FAILED;
}

// Of the third argument only those calls have one that make a file; passing it on harms no other.
static int opened(int (*real)(const char *, int, ...), const char * path, int flags, va_list rest) {
    const mode_t mode = va_arg(rest, mode_t);
    if (!fails(Kind::open))
        return real(path, flags, mode);
    errno = EMFILE;
    return -1;
}
int open(const char * path, int flags, ...) {
    static auto * const real = hidden<int(const char *, int, ...)>("open");
    va_list rest;
    va_start(rest, flags);
    const int file = opened(real, path, flags, rest);
    va_end(rest);
    return file;
}
int open64(const char * path, int flags, ...) {
    static auto * const real = hidden<int(const char *, int, ...)>("open64");
    va_list rest;
    va_start(rest, flags);
    const int file = opened(real, path, flags, rest);
    va_end(rest);
    return file;
}

static FILE * stream(FILE * (*real)(const char *, const char *), const char * path,
                     const char * mode) {
    if (!fails(Kind::open))
        return real(path, mode);
    errno = EMFILE;
    return nullptr;
}
FILE * fopen(const char * path, const char * mode) {
    static auto * const real = hidden<FILE *(const char *, const char *)>("fopen");
    return stream(real, path, mode);
}
FILE * fopen64(const char * path, const char * mode) {
    static auto * const real = hidden<FILE *(const char *, const char *)>("fopen64");
    return stream(real, path, mode);
}

ssize_t read(int file, void * out, size_t size) {
    static auto * const real = hidden<ssize_t(int, void *, size_t)>("read");
    if (!fails(Kind::read))
        return real(file, out, size);
    errno = EIO;
    return -1;
}

} // extern "C"
