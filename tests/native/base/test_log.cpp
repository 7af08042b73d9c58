// Nothing is printed without a log function, and nothing of the process is touched.
#include "base/log.h"
#include "check.h"
#include "folder.h"

#include "ggml.h"

#include <atomic>
#include <cstdlib>
#include <sstream>
#include <stdexcept>
#include <thread>

#if !defined(_WIN32)
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

using namespace ltx2;

#if !defined(_WIN32) // which has no fork

static std::string contents(const std::string & file) {
    std::ostringstream text;
    text << std::ifstream(file, std::ios::binary).rdbuf();
    return text.str();
}

struct Ended {
    int status;
    std::string printed;
    bool debugged; // gdb was started
};

// `body` in a child of its own, whose PATH begins with a gdb that leaves a mark.
template <class Body>
static Ended in_child(Body && body) {
    Folder folder;
    folder.put("gdb", "#!/bin/sh\n: > '" + folder.at("mark") + "'\n").put("out", "");
    chmod(folder.at("gdb").c_str(), 0755);
    std::fflush(nullptr);
    const pid_t child = fork();
    if (child == 0) {
        const int out = open(folder.at("out").c_str(), O_WRONLY);
        dup2(out, 1), dup2(out, 2);
        setenv("PATH", (folder.name() + ":" + std::getenv("PATH")).c_str(), 1);
        unsetenv("GGML_NO_BACKTRACE");
        body();
        std::fflush(nullptr);
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return {status, contents(folder.at("out")), std::filesystem::exists(folder.at("mark"))};
}

static void own_terminate() { std::_Exit(42); }

TEST(loading_prints_nothing_and_leaves_the_terminate_handler) {
    const Ended ended = in_child([] {
        std::set_terminate(own_terminate);
        if (!dlopen(LTX2_SHARED_LIBRARY, RTLD_NOW))
            _exit(1);
        if (std::get_terminate() != own_terminate)
            _exit(2);
    });
    CHECK(ended.status == 0);
    CHECK(ended.printed.empty());
}

TEST(an_assertion_of_ggml_prints_nothing_and_starts_no_debugger) {
    const Ended silent = in_child([] { GGML_ABORT("a defect"); });
    CHECK(WIFSIGNALED(silent.status) && WTERMSIG(silent.status) == SIGABRT);
    CHECK(silent.printed.empty() && !silent.debugged);
    const Ended told = in_child([] {
        const auto print = [](int level, const char * words, void *) {
            std::printf("%d %s", level, words), std::fflush(stdout);
        };
        log_set(print, nullptr);
        GGML_ABORT("a defect");
    });
    CHECK(told.printed.find("40 ") == 0 && told.printed.find("a defect") != std::string::npos);
}

TEST(what_ggml_says_is_for_the_log_alone) {
    const Ended ended = in_child([] { ggml_init({1, nullptr, true}), log(Level::error, "bad"); });
    CHECK(ended.printed.empty());
}

#endif

// ---- the caller's function

static int calls = 0;

TEST(what_a_log_function_throws_is_dropped) {
    log_set([](int, const char *, void *) { ++calls, throw std::runtime_error("mine"); }, nullptr);
    calls = 0;
    log(Level::info, "one");
    log(Level::info, "two");
    log_set(nullptr, nullptr);
    CHECK(calls == 2);
}

TEST(a_log_function_may_log_and_take_itself_away) {
    const auto once = [](int, const char *, void *) {
        ++calls;
        log(Level::info, "again"); // dropped, else it would never end
        log_set(nullptr, nullptr);
    };
    calls = 0;
    log_set(once, nullptr);
    log(Level::info, "one");
    log(Level::info, "two");
    CHECK(calls == 1);
}

TEST(once_it_is_taken_away_no_thread_calls_it) {
    struct Host {
        std::atomic<bool> there{true};
        std::atomic<int> late{0};
    };
    std::atomic<bool> done{false};
    std::thread speaker([&] {
        while (!done)
            log(Level::debug, "a word");
    });
    for (int i = 0; i < 200; ++i) {
        Host host;
        const auto function = [](int, const char *, void * data) {
            Host & own = *static_cast<Host *>(data);
            std::this_thread::sleep_for(std::chrono::microseconds(50));
            own.late += !own.there;
        };
        log_set(function, &host);
        std::this_thread::sleep_for(std::chrono::microseconds(100));
        log_set(nullptr, nullptr);
        host.there = false;
        std::this_thread::sleep_for(std::chrono::microseconds(100));
        CHECK(host.late == 0);
    }
    done = true;
    speaker.join();
}

int main(int argc, char ** argv) { return run_tests(argc, argv); }
