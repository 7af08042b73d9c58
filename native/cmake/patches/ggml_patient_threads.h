/* Included before ggml-cpu.c, whose threads meet after every node of a graph and wait for the last
   one awake, with nothing but ggml_thread_cpu_relax in the loop. Where another program, or another
   session, has the core of that last one, the waiting keeps it from running: two sessions of two
   threads on two cores then took fifty times as long as one after the other. Here the loop's call
   becomes one that now and then lets others run; the function of that name stays defined. */
#ifdef _WIN32
#include <windows.h>
#define ltx2_let_others_run() SwitchToThread()
#else
#include <sched.h>
#define ltx2_let_others_run() sched_yield()
#endif

/* `static inline void ggml_thread_cpu_relax(void)` defines ltx2_relax_void, and a call without
   arguments reaches ltx2_relax_. */
#define ggml_thread_cpu_relax(...) ltx2_relax_##__VA_ARGS__()

static inline void ltx2_relax_void(void);

static inline void ltx2_relax_(void) {
    enum { patience = 128 }; /* some microseconds; where nobody waits, letting run costs 0.3 */
    static _Thread_local unsigned count;
    ltx2_relax_void();
    if (++count % patience == 0)
        ltx2_let_others_run();
}
