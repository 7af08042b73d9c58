// Latents to disk as NumPy's .npy, so that hours of denoising survive a failed decode.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace ltx2 {

// That a file can be made there, before there is anything to write. Errors: as write_npy.
void check_npy(const std::string & path);
// Values of NumPy's `type`, as "<f4", in C order, under a temporary name that is then renamed.
// Errors: INVALID_ARGUMENT naming the path and the system's reason.
void write_npy(const std::string & path, const char * type, const std::vector<int64_t> & shape,
               const void * values, size_t bytes);

} // namespace ltx2
