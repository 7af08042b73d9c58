#include "base/last_error.h"

#include <cstdlib>
#include <cstring>

#if defined(_WIN32)
#include <windows.h>
#else
#include <pthread.h>
#endif

namespace ltx2 {

static constexpr char no_room[] = "memory: too little is left for the words of this error";

static void release(void * text) {
    if (text != no_room)
        std::free(text);
}

// The key is made when the library is loaded; a thread's end releases its words.
#if defined(_WIN32)
static void WINAPI at_the_end(void * text) { release(text); }
static const DWORD key = FlsAlloc(at_the_end);
static const bool has_key = key != FLS_OUT_OF_INDEXES;
static void * kept() { return FlsGetValue(key); }
static bool keep(const void * text) { return FlsSetValue(key, const_cast<void *>(text)); }
#else
static pthread_key_t key;
static const bool has_key = pthread_key_create(&key, release) == 0;
static void * kept() { return pthread_getspecific(key); }
static bool keep(const void * text) { return pthread_setspecific(key, text) == 0; }
#endif

void set_last_error(const char * text) noexcept {
    if (!has_key)
        return;
    void * before = kept();
    char * copy = static_cast<char *>(std::malloc(std::strlen(text) + 1));
    if (copy)
        std::strcpy(copy, text);
    release(keep(copy ? copy : no_room) ? before : copy);
}

const char * last_error() noexcept {
    const void * text = has_key ? kept() : no_room;
    return text ? static_cast<const char *>(text) : "";
}

} // namespace ltx2
