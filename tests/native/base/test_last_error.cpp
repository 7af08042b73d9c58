// The words of a thread's last failure, whatever becomes of the library meanwhile.
#include "base/last_error.h"
#include "check.h"

#include "ltx2.h"

#include <future>
#include <thread>

#if defined(_WIN32)
#include <windows.h>
#else
#include <dlfcn.h>
#endif

using namespace ltx2;

// The shared library, as a program uses it that was not linked with it.
#if defined(_WIN32)
static HMODULE load() { return LoadLibraryA(LTX2_SHARED_LIBRARY); }
static void * find(HMODULE library, const char * name) {
    return reinterpret_cast<void *>(GetProcAddress(library, name));
}
static void unload(HMODULE library) { FreeLibrary(library); }
#else
static void * load() { return dlopen(LTX2_SHARED_LIBRARY, RTLD_NOW | RTLD_LOCAL); }
static void * find(void * library, const char * name) { return dlsym(library, name); }
static void unload(void * library) { dlclose(library); }
#endif

TEST(each_thread_has_its_own) {
    set_last_error("mine");
    std::thread([] {
        CHECK(std::string(last_error()).empty());
        set_last_error("another's");
    }).join();
    CHECK(std::string(last_error()) == "mine");
}

TEST(a_thread_that_failed_may_end_after_the_library_was_closed) {
    const auto library = load();
    const auto open =
        reinterpret_cast<decltype(&ltx2_session_open)>(find(library, "ltx2_session_open"));
    std::promise<void> failed, closed;
    std::thread thread([&] {
        ltx2_session * none = nullptr;
        CHECK(open(nullptr, &none) == LTX2_STATUS_INVALID_ARGUMENT);
        failed.set_value();
        closed.get_future().wait();
    });
    failed.get_future().wait();
    unload(library);
    closed.set_value();
    thread.join();
}

int main(int argc, char ** argv) { return run_tests(argc, argv); }
