#include "check.h"
#include "files/mapping.h"
#include "folder.h"

#include <atomic>
#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace ltx2;

static const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));

static std::string put_pages(Folder & folder, const char * name = "model") {
    return folder.put(name, std::string(4 * page, 'x')).at(name);
}
static void shorten(const std::string & path) { std::filesystem::resize_file(path, page); }

TEST(a_file_that_is_shortened_reads_as_zeros_and_is_told_of) {
    Folder folder;
    const std::string path = put_pages(folder);
    const Mapping mapping(path), other(put_pages(folder, "other"));
    mapping.check_unchanged();
    CHECK(mapping.data()[3 * page] == 'x');
    shorten(path);
    std::vector<std::thread> readers; // all of them at once
    std::atomic<int> wrong{0};
    for (int i = 0; i < 4; ++i)
        readers.emplace_back([&] {
            for (size_t at = 4 * page; at-- > page;)
                wrong += mapping.data()[at] != 0;
        });
    for (std::thread & reader : readers)
        reader.join();
    CHECK(wrong == 0);
    mapping.release(mapping.data(), mapping.size());
    CHECK(mapping.data()[3 * page] == 0);
    CHECK_THROWS(mapping.check_unchanged(), "model: was shortened while it was in use");
    CHECK(other.data()[3 * page] == 'x');
    other.check_unchanged();
}

TEST(a_file_that_is_written_to_is_told_of) {
    Folder folder;
    const std::string path = put_pages(folder);
    const Mapping mapping(path);
    const auto time = std::filesystem::last_write_time(path);
    put_pages(folder); // in place
    std::filesystem::last_write_time(path, time + std::chrono::nanoseconds(1000));
    CHECK_THROWS(mapping.check_unchanged(), "model: was written to while it was in use");
}

TEST(a_file_that_is_replaced_renamed_or_deleted_does_no_harm) {
    Folder folder;
    const std::string path = put_pages(folder);
    const Mapping mapping(path);
    std::filesystem::rename(put_pages(folder, "new"), path);
    mapping.check_unchanged();
    std::filesystem::remove(path);
    mapping.check_unchanged();
    CHECK(mapping.data()[3 * page] == 'x');
}

// As a disk that fails for a moment would leave it: no size or time says so.
TEST(a_part_that_could_not_be_read_is_told_of) {
    Folder folder;
    const std::string path = put_pages(folder);
    const Mapping mapping(path);
    struct stat info;
    CHECK(stat(path.c_str(), &info) == 0);
    shorten(path);
    CHECK(mapping.data()[2 * page] == 0);
    put_pages(folder);
#if defined(__APPLE__)
    const timespec times[] = {info.st_atimespec, info.st_mtimespec};
#else
    const timespec times[] = {info.st_atim, info.st_mtim};
#endif
    CHECK(utimensat(AT_FDCWD, path.c_str(), times, 0) == 0);
    CHECK_THROWS(mapping.check_unchanged(), "a part of it could not be read");
}

TEST(what_a_reader_says_of_a_file_that_changed_is_that_it_changed) {
    Folder folder;
    const std::string path = put_pages(folder);
    const Mapping mapping(path);
    const auto read = [&](Status status) {
        shorten(path);
        fail(status, "it ends too early");
    };
    CHECK_THROWS(while_unchanged(mapping, [&] { read(LTX2_STATUS_CANCELLED); }), "too early");
    CHECK_THROWS(while_unchanged(mapping, [&] { read(LTX2_STATUS_MODEL); }), "was shortened");
    CHECK_THROWS(while_unchanged(mapping, [] { return 1; }), "was shortened");
}

// ---- other bus errors, each in a process of its own

// A process that does `act` ends so: with an exit code, or minus the signal that ended it.
template <class Act>
static void expect(int end, Act act) {
    const pid_t child = fork();
    if (child == 0) {
        act();
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    CHECK(end == (WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status)));
}

static const volatile char * foreign = nullptr; // memory of the program's own

// Reads a page that its file has no more.
static void fail_elsewhere(Folder & folder) {
    const std::string path = put_pages(folder, "foreign");
    std::FILE * file = std::fopen(path.c_str(), "rb");
    foreign = static_cast<char *>(mmap(nullptr, 4 * page, PROT_READ, MAP_PRIVATE, fileno(file), 0));
    shorten(path);
    (void)foreign[2 * page];
}

static void on_foreign(int number, siginfo_t * info, void *) {
    _exit(number == SIGBUS && info->si_addr == const_cast<char *>(foreign) + 2 * page ? 42 : 43);
}
static void handle(void (*handler)(int, siginfo_t *, void *), int flags = 0) {
    struct sigaction action = {};
    action.sa_sigaction = handler;
    action.sa_flags = SA_SIGINFO | flags;
    sigaction(SIGBUS, &action, nullptr);
}

TEST(another_bus_error_ends_the_process_or_reaches_its_handler) {
    Folder folder;
    const std::string path = put_pages(folder);
    expect(-SIGBUS, [&] {
        const Mapping mapping(path);
        fail_elsewhere(folder);
    });
    expect(42, [&] {
        handle(on_foreign);
        const Mapping mapping(path);
        fail_elsewhere(folder);
    });
}

static volatile sig_atomic_t calls = 0;

TEST(a_signal_that_a_program_sends_does_what_it_did) {
    Folder folder;
    const std::string path = put_pages(folder);
    expect(-SIGBUS, [&] {
        const Mapping mapping(path);
        std::raise(SIGBUS);
    });
    expect(0, [&] {
        std::signal(SIGBUS, SIG_IGN);
        const Mapping mapping(path);
        std::raise(SIGBUS);
    });
    expect(1, [&] {
        std::signal(SIGBUS, [](int) { ++calls; });
        const Mapping mapping(path);
        std::raise(SIGBUS);
        _exit(calls);
    });
    expect(-SIGBUS, [&] { // a handler for one time
        handle([](int, siginfo_t *, void *) { ++calls; }, static_cast<int>(SA_RESETHAND));
        const Mapping mapping(path);
        std::raise(SIGBUS);
        if (calls != 1)
            _exit(1);
        std::raise(SIGBUS);
    });
}

TEST(the_handler_goes_with_the_last_mapping_unless_another_is_on_top) {
    Folder folder;
    const std::string path = put_pages(folder);
    expect(7, [&] {
        handle(on_foreign);
        struct sigaction now;
        {
            const Mapping mapping(path), other(path);
        }
        sigaction(SIGBUS, nullptr, &now);
        _exit(now.sa_sigaction == on_foreign ? 7 : 8);
    });
    expect(7, [&] {
        {
            const Mapping mapping(path);
            handle(on_foreign);
        }
        struct sigaction now;
        sigaction(SIGBUS, nullptr, &now);
        _exit(now.sa_sigaction == on_foreign ? 7 : 8);
    });
}

TEST(a_small_alternate_stack_is_enough) {
    Folder folder;
    const std::string path = put_pages(folder);
    expect(0, [&] {
#if defined(_SC_MINSIGSTKSZ)
        const size_t least = static_cast<size_t>(sysconf(_SC_MINSIGSTKSZ));
#else
        const size_t least = MINSIGSTKSZ;
#endif
        std::vector<char> room(least + 1024);
        stack_t stack = {};
        stack.ss_sp = room.data();
        stack.ss_size = room.size();
        if (sigaltstack(&stack, nullptr) != 0)
            _exit(1);
        const Mapping mapping(path);
        shorten(path);
        _exit(mapping.data()[3 * page]);
    });
}

int main(int argc, char ** argv) { return run_tests(argc, argv); }
