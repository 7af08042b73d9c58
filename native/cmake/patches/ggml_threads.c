/* ggml-cpu.c, three things otherwise.

   1. Its threads meet after every node of a graph and wait for the last one awake, with nothing but
   ggml_thread_cpu_relax in the loop. Where another program, or another session, has the core of
   that last one, the waiting keeps it from running: two sessions of two threads on two cores then
   took fifty times as long as one after the other. Here the loop's call becomes one that now and
   then lets others run; the function of that name stays defined. */
#include <stdatomic.h>
#include <stdint.h>
#ifdef _WIN32
#include <windows.h>
#define let_others_run() SwitchToThread()
#if !defined(THREAD_POWER_THROTTLING_CURRENT_VERSION) /* mingw-w64 before version 11 */
#define THREAD_POWER_THROTTLING_CURRENT_VERSION 1
#define THREAD_POWER_THROTTLING_EXECUTION_SPEED 1
typedef struct {
    ULONG Version, ControlMask, StateMask;
} THREAD_POWER_THROTTLING_STATE;
#endif
#else
#include <sched.h>
#define let_others_run() sched_yield()
#endif

/* `static inline void ggml_thread_cpu_relax(void)` defines relax_void, and a call without
   arguments reaches relax_. */
#define ggml_thread_cpu_relax(...) relax_##__VA_ARGS__()

static inline void relax_void(void);

/* Threads count by where their stacks lie, and not exactly where two of many come together. A
   counter of each thread's own would be memory that its first use takes, and that may not be there;
   one for all would be fought for by every core that waits. */
static inline void relax_(void) {
    enum { patience = 128 }; /* some microseconds; where nobody waits, letting run costs 0.3 */
    static struct { _Alignas(64) atomic_uint count; } waits[64];
    const char here = 0;
    const uint32_t hash = (uint32_t)((uintptr_t)&here >> 12) * 2654435769u;
    atomic_uint * count = &waits[hash >> 26].count;
    const unsigned before = atomic_load_explicit(count, memory_order_relaxed);
    atomic_store_explicit(count, before + 1, memory_order_relaxed);
    relax_void();
    if (before % patience == 0)
        let_others_run();
}

/* 2. Before each graph it makes a context, whose memory may not be there, and frees it, only to have
   the clock started. */
#include "ggml.h"
#define ggml_init(params) (ggml_time_init(), (struct ggml_context *)NULL)

#include "ggml-cpu/ggml-cpu.c"

/* 3. ggml_threadpool_new asserts that each thread starts and writes through what malloc gave. This one
   returns null where there is too little of either, and leaves nothing behind. Without OpenMP. */
struct ggml_threadpool * ggml_threadpool_try_new(int threads) {
    const size_t size = sizeof(struct ggml_compute_state) * (size_t)threads;
    struct ggml_threadpool * pool = ggml_aligned_malloc(sizeof *pool);
    struct ggml_compute_state * workers = ggml_aligned_malloc(size);
    if (!pool || !workers) {
        ggml_aligned_free(pool, sizeof *pool);
        ggml_aligned_free(workers, size);
        return NULL;
    }
    memset(pool, 0, sizeof *pool); /* poll and all counts are 0: between two graphs threads sleep */
    memset(workers, 0, size);
    pool->abort = -1;
    pool->ec = GGML_STATUS_SUCCESS;
    pool->prio = GGML_SCHED_PRIO_NORMAL;
    pool->workers = workers;
    ggml_mutex_init(&pool->mutex);
    ggml_cond_init(&pool->cond);
    for (int i = 0; i < threads; i++) {
        workers[i].threadpool = pool;
        workers[i].ith = i;
    }
    for (pool->n_threads = 1; pool->n_threads < threads; pool->n_threads++) {
        struct ggml_compute_state * worker = &workers[pool->n_threads];
        if (ggml_thread_create(&worker->thrd, NULL, ggml_graph_compute_secondary_thread, worker)) {
            ggml_threadpool_free(pool); /* ends those that did start */
            return NULL;
        }
    }
    return pool;
}
