#include "graph/threads.h"

#include "base/error.h"

#include <cstdlib>
#include <mutex>
#include <thread>
#include <vector>

namespace ltx2 {

// All of them at once, as the pool will have them.
static bool can_be_made(int threads) {
    std::mutex gate;
    std::vector<std::thread> probes;
    bool made = true;
    {
        const std::lock_guard<std::mutex> closed(gate);
        try {
            for (int i = 0; i < threads; ++i)
                probes.emplace_back([&gate] { const std::lock_guard<std::mutex> pass(gate); });
        } catch (const std::exception &) { // std::system_error, std::bad_alloc
            made = false;
        }
    }
    for (std::thread & probe : probes)
        probe.join();
    return made;
}

PoolPtr make_pool(int threads) {
    // ggml stops the process where it cannot have a thread, or what it notes of each. One thread
    // more than needed is tried: another program may take one in between.
    void * volatile notes = std::malloc(static_cast<size_t>(threads + 8) * 1024);
    std::free(notes);
    if (!notes || (threads > 1 && !can_be_made(threads)))
        fail(LTX2_STATUS_OUT_OF_MEMORY, "memory: the system does not give %d more threads%s",
             threads, threads > 2 ? "; fewer may do" : "");
    ggml_threadpool_params params = ggml_threadpool_params_default(threads);
    params.poll = 0; // between two graphs threads sleep; waking them costs tens of microseconds
    return PoolPtr(ggml_threadpool_new(&params));
}

} // namespace ltx2
