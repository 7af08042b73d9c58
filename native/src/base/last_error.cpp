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
// The library stays where it is when it is closed, as by -z nodelete: a thread ends later.
static DWORD new_key() {
    HMODULE library = nullptr;
    GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_PIN | GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS,
                       reinterpret_cast<LPCWSTR>(at_the_end), &library);
    return FlsAlloc(at_the_end);
}
static const DWORD key = new_key();
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
