// Fault injection. For each N, in a process of its own, the Nth call of a kind fails (or all from
// the Nth on) while the library is asked for something. Each must end with a status and words, or
// with the right result; the same call must work right afterwards, and what failed leaves nothing
// behind. docs/testing.md has the figures of the full sweep.
//
//     ltx2_faults sample FILES
//
// tries N from as many places as possible, which is what the tests run;
//
//     ltx2_faults all FILES
//
// every N of everything, and
//
//     ltx2_faults KIND one|from CALL THREADS FIRST STEP LAST FILES
//
// some N of one kind in one call.
//
// KIND: memory thread map open read. CALL: see calls.h. LAST 0: to the end.
#include "faults/calls.h"
#include "faults/failing.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <dirent.h>
#include <execinfo.h>
#include <numeric>
#include <sys/wait.h>
#include <unistd.h>

using failing::Kind;

namespace {

const char * const kinds[] = {"memory", "thread", "map", "open", "read"};

struct Sweep {
    Kind kind = Kind::memory;
    bool from = false;
    const Call * call = nullptr;
    int threads = 2;
    std::vector<const char *> files;
};

struct Counts {
    int ran = 0, whole = 0, failed = 0, wrong = 0, died = 0, hung = 0;
};

// What a process has open, and what it has running.
int entries(const char * folder) {
    int count = 0;
    DIR * opened = opendir(folder);
    while (opened && readdir(opened))
        ++count;
    if (opened)
        closedir(opened);
    return count;
}
struct Held {
    long blocks = failing::live_blocks();
    int files = entries("/proc/self/fd"), threads = entries("/proc/self/task");
};

[[noreturn]] void wrong(const char * problem, const std::string & words = "") {
    std::fprintf(stderr, "    %s%s\n", problem, words.c_str());
    _exit(1);
}

void died(int signal) {
    failing::end();
    void * callers[40];
    backtrace_symbols_fd(callers, backtrace(callers, 40), STDERR_FILENO);
    std::signal(signal, SIG_DFL);
    std::raise(signal);
}

// Memory that cannot be had must be called so; a file that cannot be read may be what is wrong.
bool right_status(const Sweep & sweep, ltx2_status status) {
    const bool memory = sweep.kind == Kind::memory || sweep.kind == Kind::thread;
    return status == LTX2_STATUS_OUT_OF_MEMORY || (!memory && status == LTX2_STATUS_MODEL);
}

// In a process of its own. The status to end with: 0 whole, 2 failed as it should, 1 wrong.
int attempt(const Sweep & sweep, long n, size_t want) {
    const Held before;
    failing::begin(sweep.kind, sweep.from, n);
    const Outcome outcome = sweep.call->run(sweep.files, sweep.threads);
    const Held after;
    const bool whole = outcome.status == LTX2_STATUS_OK;
    if (!whole && (!right_status(sweep, outcome.status) || outcome.words.empty()))
        wrong("status or words: ", std::to_string(outcome.status) + " " + outcome.words);
    if ((whole || outcome.result) && outcome.result != want)
        wrong("another result");
    if (after.files != before.files || after.threads != before.threads)
        wrong("files or threads are left");
    const long left = after.blocks - before.blocks - !whole; // the words here are one
    if (!sweep.call->first && left > 0)
        wrong("blocks of memory are left: ", std::to_string(left));
    if (!whole && !outcome.result) {
        const Outcome again = sweep.call->run(sweep.files, sweep.threads);
        if (again.status != LTX2_STATUS_OK || again.result != want)
            wrong("then: ", again.words);
    }
    return whole ? 0 : 2;
}

// A child's end: its status, or -1 where it is stopped after minutes.
int waited(pid_t child) {
    int status = 0;
    const timespec pause = {0, 1000000};
    for (int i = 0; i < 300000; ++i, nanosleep(&pause, nullptr))
        if (waitpid(child, &status, WNOHANG) == child)
            return status;
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    return -1;
}

void run_one(const Sweep & sweep, long n, size_t want, Counts & counts) {
    std::fflush(nullptr);
    const pid_t child = fork();
    if (child == 0) {
        for (int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL})
            std::signal(signal, died);
        _exit(attempt(sweep, n, want));
    }
    const int status = waited(child);
    const int code = status >= 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    ++counts.ran;
    ++(status < 0             ? counts.hung
       : code < 0 || code > 2 ? counts.died
       : code == 1            ? counts.wrong
       : code == 2            ? counts.failed
                              : counts.whole);
    if (code != 0 && code != 2)
        std::printf("  N = %ld: %s\n", n, status < 0 ? "hung" : code == 1 ? "wrong" : "died");
}

// The same call with nothing failing, in a process of its own: its result, the number of calls of
// the kind, and the N that come from places of their own. If it need not be a process's first, it
// then runs in this one, whose children have what the library keeps for good.
struct Base {
    size_t result;
    long calls;
    std::vector<long> places;
};
Base base_of(const Sweep & sweep) {
    int ends[2];
    if (pipe(ends) != 0)
        std::exit(2);
    const pid_t child = fork();
    if (child == 0) {
        void * caller;
        backtrace(&caller, 1); // allocates when first called
        failing::begin(sweep.kind, sweep.from, 0);
        const Outcome outcome = sweep.call->run(sweep.files, sweep.threads);
        const long calls = failing::end();
        const std::vector<long> places = failing::places();
        FILE * out = fdopen(ends[1], "w");
        std::fprintf(out, "%d %zu %ld", outcome.status, outcome.result, calls);
        for (long n : places)
            std::fprintf(out, " %ld", n);
        std::fclose(out);
        _exit(0);
    }
    close(ends[1]);
    FILE * in = fdopen(ends[0], "r");
    Base base{};
    int status = -1;
    if (std::fscanf(in, "%d %zu %ld", &status, &base.result, &base.calls) != 3 || status != 0) {
        std::fprintf(stderr, "%s: fails by itself\n", sweep.call->name);
        std::exit(2);
    }
    for (long n; std::fscanf(in, "%ld", &n) == 1;)
        base.places.push_back(n);
    std::fclose(in);
    waitpid(child, nullptr, 0);
    if (!sweep.call->first) {
        (void)ltx2_session_open(nullptr, nullptr); // the words of an error are kept as well
        (void)sweep.call->run(sweep.files, sweep.threads);
    }
    return base;
}

// Whether all were right.
bool report(const Sweep & sweep, long calls, const Counts & c) {
    std::printf(
        "%s %s, %s, %d threads: %d of %ld: %d whole, %d failed, %d wrong, %d died, %d hung\n",
        kinds[int(sweep.kind)], sweep.from ? "from" : "one", sweep.call->name, sweep.threads, c.ran,
        calls, c.whole, c.failed, c.wrong, c.died, c.hung);
    return c.wrong + c.died + c.hung == 0;
}

bool run_range(const Sweep & sweep, long first, long step, long last) {
    const Base base = base_of(sweep);
    Counts counts;
    for (long n = first; n <= (last > 0 ? last : base.calls); n += step)
        run_one(sweep, n, base.result, counts);
    return report(sweep, base.calls, counts);
}

// At most so many N: all, or spread over the places that call.
bool run_some(const Sweep & sweep, size_t most) {
    const Base base = base_of(sweep);
    std::vector<long> some = base.places;
    if (base.calls <= 40) {
        some.resize(static_cast<size_t>(base.calls));
        std::iota(some.begin(), some.end(), 1);
    }
    Counts counts;
    const size_t tried = std::min(some.size(), most);
    for (size_t i = 0; i < tried; ++i)
        run_one(sweep, some[i * some.size() / tried], base.result, counts);
    return report(sweep, base.calls, counts);
}

// For each call, kind and mode: all N, or some. What must be first comes first. A process's first
// video does what any does, but for what it makes once: there, an N from each place is all.
bool run_everything(Sweep sweep, bool every) {
    bool right = true;
    for (const Call & call : all_calls)
        for (Kind kind : {Kind::read, Kind::open, Kind::map, Kind::thread, Kind::memory})
            for (bool from : {false, true}) {
                sweep.kind = kind, sweep.from = from, sweep.call = &call;
                const bool any_threads = every && kind == Kind::thread;
                const bool places = !every || std::strcmp(call.name, "first-video") == 0;
                const size_t most = every ? 100000 : from ? 10 : 40;
                for (sweep.threads = any_threads ? 1 : 2; sweep.threads <= (any_threads ? 4 : 2);
                     ++sweep.threads)
                    right &= places ? run_some(sweep, most) : run_range(sweep, 1, 1, 0);
            }
    return right;
}

int usage() {
    std::fprintf(stderr, "usage: ltx2_faults sample|all FILES\n"
                         "       ltx2_faults KIND one|from CALL THREADS FIRST STEP LAST FILES\n");
    return 2;
}

} // namespace

int main(int argc, char ** argv) {
    Sweep sweep;
    const std::string what = argc > 1 ? argv[1] : "";
    if (argc > 3 && (what == "sample" || what == "all")) {
        sweep.files.assign(argv + 2, argv + argc);
        return run_everything(sweep, what == "all") ? 0 : 1;
    }
    if (argc < 10)
        return usage();
    bool known = false;
    for (int i = 0; i < 5; ++i)
        if (what == kinds[i])
            sweep.kind = static_cast<Kind>(i), known = true;
    for (const Call & call : all_calls)
        if (std::strcmp(argv[3], call.name) == 0)
            sweep.call = &call;
    if (!known || !sweep.call)
        return usage();
    sweep.from = std::strcmp(argv[2], "from") == 0;
    sweep.threads = std::atoi(argv[4]);
    sweep.files.assign(argv + 8, argv + argc);
    return run_range(sweep, std::atol(argv[5]), std::atol(argv[6]), std::atol(argv[7])) ? 0 : 1;
}
