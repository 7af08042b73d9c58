#include "files/mapping_guard.h"

#if !defined(_WIN32)

#include <cerrno>
#include <csignal>
#include <mutex>
#include <sys/mman.h>

namespace ltx2 {

static std::atomic<Watched *> ranges{nullptr};
static std::mutex guard; // of what follows, and of changes of the list
static int watched = 0;
static bool installed = false;
static struct sigaction before; // the handler that ours took the place of

static Watched * find(uintptr_t address) {
    for (Watched * range = ranges.load(std::memory_order_acquire); range; range = range->next) {
        const size_t size = range->size; // first: it is what watch() writes last
        if (address - range->begin < size)
            return range;
    }
    return nullptr;
}

// As it would have gone without us.
static void pass_on(int number, siginfo_t * info, void * context) {
    const struct sigaction next = before;
    const bool sent = info->si_code <= 0; // by a program, not by a read
    if (next.sa_handler == SIG_IGN && sent)
        return;
    if (next.sa_handler == SIG_DFL || next.sa_handler == SIG_IGN) {
        // A read that failed fails again where it stands, and ends the process there.
        std::signal(number, SIG_DFL);
        if (sent)
            std::raise(number); // takes effect once this handler returns
        return;
    }
    if (next.sa_flags & static_cast<int>(SA_RESETHAND)) {
        before.sa_flags = 0;
        before.sa_handler = SIG_DFL;
    }
    if (next.sa_flags & SA_SIGINFO)
        next.sa_sigaction(number, info, context);
    else
        next.sa_handler(number);
}

// Only system calls and atomic values: it may interrupt anything.
static void on_bus_error(int number, siginfo_t * info, void * context) {
    const int error = errno;
    Watched * range =
        info->si_code > 0 ? find(reinterpret_cast<uintptr_t>(info->si_addr)) : nullptr;
    void * const begin = range ? reinterpret_cast<void *>(range->begin.load()) : nullptr;
    // The whole range, since its values are of no use now: one call, and no further signal.
    if (range && mmap(begin, range->size.load(), PROT_READ,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) != MAP_FAILED)
        range->lost = true;
    else
        pass_on(number, info, context);
    errno = error;
}

static bool is_ours(const struct sigaction & action) {
    return (action.sa_flags & SA_SIGINFO) && action.sa_sigaction == on_bus_error;
}

// As the handler before it was: its mask, and whether calls that it interrupts go on. On the
// thread's alternate stack, if it has one, as Go wants it.
static void install() {
    if (sigaction(SIGBUS, nullptr, &before) != 0)
        return;
    struct sigaction ours = {};
    ours.sa_sigaction = on_bus_error;
    ours.sa_mask = before.sa_mask;
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK | (before.sa_flags & (SA_RESTART | SA_NODEFER));
    installed = sigaction(SIGBUS, &ours, &before) == 0;
}

// Where another handler has been put on top of ours, ours stays: that one may call it.
static void remove() {
    struct sigaction now;
    if (installed && sigaction(SIGBUS, nullptr, &now) == 0 && is_ours(now))
        installed = sigaction(SIGBUS, &before, nullptr) != 0;
}

Watched * watch(const void * begin, size_t size) {
    const std::lock_guard<std::mutex> lock(guard);
    Watched * range = ranges;
    while (range && range->size != 0)
        range = range->next;
    if (!range) {
        range = new Watched;
        range->next = ranges;
        ranges.store(range, std::memory_order_release);
    }
    range->lost = false;
    range->begin = reinterpret_cast<uintptr_t>(begin);
    range->size = size;
    if (++watched == 1 && !installed)
        install();
    return range;
}

void unwatch(Watched * range) {
    const std::lock_guard<std::mutex> lock(guard);
    range->size = 0;
    if (--watched == 0)
        remove();
}

} // namespace ltx2

#endif
