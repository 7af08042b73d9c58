// What a device's driver says of it, where asking may fail.
#pragma once

#include "ggml-backend.h"

#include <string>

namespace ltx2 {

// Bytes of a device's memory; 0: unknown, as of one that is lost.
struct DeviceMemory {
    size_t free = 0, total = 0;
};
DeviceMemory memory_of(ggml_backend_dev_t device);

// Which driver a device has, and its version, as "llvmpipe Mesa 25.0.7 (LLVM 19.1.7)". Empty where
// it does not say.
std::string driver_of(ggml_backend_dev_t device);

} // namespace ltx2
