#pragma once

#include "ggml-backend.h"

#include <string>

namespace ltx2 {

// Which driver a device has, and its version, as "llvmpipe Mesa 25.0.7 (LLVM 19.1.7)". Empty where
// it does not say.
std::string driver_of(ggml_backend_dev_t device);

} // namespace ltx2
