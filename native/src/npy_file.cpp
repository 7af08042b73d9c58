#include "npy_file.h"

#include "base/error.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>

namespace ltx2 {

static std::string header(const std::string & type, const std::vector<int64_t> & shape) {
    std::string sides;
    for (int64_t side : shape)
        sides += std::to_string(side) + ", ";
    std::string text =
        "{'descr': '" + type + "', 'fortran_order': False, 'shape': (" + sides + "), }";
    // The format: magic, version 1.0, a 16-bit length, and the data at a multiple of 64.
    const size_t before = 10;
    text.append(63 - (before + text.size()) % 64, ' ');
    text += '\n';
    std::string out("\x93NUMPY\x01\x00", 8);
    out += static_cast<char>(text.size() & 255);
    out += static_cast<char>(text.size() >> 8);
    return out + text;
}

static std::string temporary_of(const std::string & path) { return path + ".part"; }

[[noreturn]] static void cannot_write(const std::string & path, int reason) {
    fail(LTX2_STATUS_INVALID_ARGUMENT, "%s: cannot be written: %s", path.c_str(),
         std::strerror(reason));
}

void check_npy(const std::string & path) {
    std::error_code ignored;
    if (path.empty() || std::filesystem::is_directory(std::filesystem::u8path(path), ignored))
        cannot_write(path, path.empty() ? ENOENT : EISDIR);
    std::FILE * file = std::fopen(temporary_of(path).c_str(), "wb");
    if (!file)
        cannot_write(path, errno);
    std::fclose(file);
    std::remove(temporary_of(path).c_str());
}

void write_npy(const std::string & path, const char * type, const std::vector<int64_t> & shape,
               const void * values, size_t bytes) {
    const std::string temporary = temporary_of(path);
    const auto failed = [&] {
        const int reason = errno;
        std::remove(temporary.c_str());
        cannot_write(path, reason);
    };
    std::FILE * file = std::fopen(temporary.c_str(), "wb");
    if (!file)
        failed();
    const std::string head = header(type, shape);
    const bool whole = std::fwrite(head.data(), 1, head.size(), file) == head.size() &&
                       std::fwrite(values, 1, bytes, file) == bytes;
    const bool closed = std::fclose(file) == 0;
    if (!whole || !closed || std::rename(temporary.c_str(), path.c_str()) != 0)
        failed();
}

} // namespace ltx2
