#include "base/last_error.h"

#include <cstdlib>
#include <cstring>

#include <pthread.h>

namespace ltx2 {

static constexpr char no_room[] = "memory: too little is left for the words of this error";

static void release(void * text) {
    if (text != no_room)
        std::free(text);
}

// Made when the library is loaded; a thread's end releases its words.
static pthread_key_t key;
static const bool has_key = pthread_key_create(&key, release) == 0;

void set_last_error(const char * text) noexcept {
    if (!has_key)
        return;
    void * before = pthread_getspecific(key);
    char * copy = static_cast<char *>(std::malloc(std::strlen(text) + 1));
    if (copy)
        std::strcpy(copy, text);
    const bool kept = pthread_setspecific(key, copy ? copy : no_room) == 0;
    release(kept ? before : copy);
}

const char * last_error() noexcept {
    const void * text = has_key ? pthread_getspecific(key) : no_room;
    return text ? static_cast<const char *>(text) : "";
}

} // namespace ltx2
