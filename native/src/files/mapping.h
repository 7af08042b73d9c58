#pragma once

#include "base/error.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

namespace ltx2 {

struct Watched;

// A file mapped read-only; the pages go back to the system with it. Another program may change or
// shorten the file meanwhile: what is read is then of no use, and `check_unchanged` says so. Ask it
// after reading, before the outcome is used.
class Mapping {
public:
    explicit Mapping(std::string path); // MODEL: missing, unreadable, empty, a folder
    ~Mapping();
    Mapping(const Mapping &) = delete;
    Mapping & operator=(const Mapping &) = delete;
    const uint8_t * data() const { return data_; }
    size_t size() const { return size_; }
    // Lets the pages of a range go from this process; they come back from the file when read again,
    // which costs no reading where the system's cache of files has kept them.
    void release(const uint8_t * begin, size_t size) const;
    // From the cache of files too, as far as nobody else has them mapped.
    void forget(const uint8_t * begin, size_t size) const;
    // Asks the system to have a range in its cache soon. Does not wait, and cannot fail.
    void read_ahead(const uint8_t * begin, size_t size) const;
    // MODEL where the file has been written to, shortened, or could not be read since it was
    // opened; that it was replaced, renamed or deleted does no harm. One system call.
    void check_unchanged() const;

private:
    std::string path_;
    const uint8_t * data_ = nullptr;
    size_t size_ = 0;
#if !defined(_WIN32) // there, whoever maps a file keeps others from writing to it
    int file_ = -1;
    int64_t seconds_ = 0, nanoseconds_ = 0; // when it was written to last
    Watched * watched_ = nullptr;
#endif
};

// work(), or MODEL where the files that it read, a Mapping or a Model, did not stay as they were.
template <class Files, class Work>
auto while_unchanged(const Files & files, Work work) {
    try {
        if constexpr (std::is_void_v<decltype(work())>) {
            work();
            files.check_unchanged();
        } else {
            auto out = work();
            files.check_unchanged();
            return out;
        }
    } catch (const Error & e) { // what it complains of may be what is left of a file
        if (e.status() == LTX2_STATUS_MODEL)
            files.check_unchanged();
        throw;
    }
}

} // namespace ltx2
