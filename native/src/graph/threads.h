// The threads that compute a session's graphs: made for a stage, asleep between its graphs, gone
// after it, so that a program that waits has none and may fork.
#pragma once

#include "ggml-cpu.h"

#include <memory>

namespace ltx2 {

struct PoolDelete {
    void operator()(ggml_threadpool * p) const { ggml_threadpool_free(p); }
};
using PoolPtr = std::unique_ptr<ggml_threadpool, PoolDelete>;

// The caller's thread and `threads` - 1 more. OUT_OF_MEMORY where the system does not give them.
PoolPtr make_pool(int threads);

} // namespace ltx2
