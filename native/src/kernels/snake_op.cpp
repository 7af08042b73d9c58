// SnakeBeta as a node of a graph: a thread takes all positions of a piece of time, a few channels
// at a time.
#include "kernels/cpu_ops.h"
#include "kernels/variant.h"

#include <algorithm>
#include <atomic>
#include <cmath>

namespace ltx2::kernels {

static constexpr int64_t group = 16;                // channels
static constexpr int64_t piece = 1024, block = 128; // positions of a piece of work, and at once

namespace {
struct SnakePlan {
    SnakeCall call;
    Workers workers;
    std::atomic<int64_t> next{0};
};
} // namespace

static void run(SnakePlan & plan, Tensor out, int thread, int) {
    const SnakeCall & call = plan.call;
    const int64_t channels = out->ne[0], positions = out->ne[1];
    const int64_t groups = divide_up(channels, group);
    for (int64_t i; (i = plan.next.fetch_add(1)) < groups * divide_up(positions, piece);) {
        const int64_t channel = i % groups * group, begin = i / groups * piece;
        const int64_t count = std::min(group, channels - channel);
        float frequency[group], amount[group];
        for (int64_t c = 0; c < count; ++c) {
            frequency[c] = std::exp(floats(call.alpha)[channel + c]);
            amount[c] = 1.0f / (std::exp(floats(call.beta)[channel + c]) + 1e-9f);
            amount[c] += frequency[c] - frequency[c]; // the kernel's sine has bounds for NaN too
        }
        const int64_t end = std::min(positions, begin + piece);
        for (int64_t first = begin; first < end; first += block)
            variant().snake({floats(call.x) + channel, channels, positions, first,
                             std::min(block, end - first), static_cast<int>(count), frequency,
                             amount, floats(call.up), floats(call.down), floats(out) + channel,
                             plan.workers.room(thread)});
    }
}

Tensor snake(Nodes & g, const SnakeCall & call) {
    const std::shared_ptr<SnakePlan> plan(new SnakePlan{call, g.workers()});
    plan->workers.reserve(snake_room(block));
    return g.node<run>("snake", shape_of(call.x),
                       {call.x, call.alpha, call.beta, call.up, call.down}, plan);
}

} // namespace ltx2::kernels
