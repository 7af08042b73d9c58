// A small piece of the model on a device, to see whether it computes it right, and how fast.
#pragma once

#include "graph/device.h"

namespace ltx2 {

struct Trial {
    std::string problem;            // what it computes wrong, or how it failed; empty: nothing
    double error = 0;               // NMSE against the processor's own kernels
    double speed = 0;               // multiply-adds a second
    std::vector<std::string> lacks; // operations of the piece that the processor computes for it
};

// The piece: a norm, products with F16 weights, attention and a convolution of large values, of 512
// tokens. Errors: OUT_OF_MEMORY. What the device fails in is in `problem`.
Trial try_device(const std::string & name, int threads);

// The device that does it fastest, of those with `memory` bytes that do it right: an integrated GPU
// may be slower than the processor. Each is tried once in a process.
std::string fastest_device(int threads, uint64_t memory);

} // namespace ltx2
