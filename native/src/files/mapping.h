#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace ltx2 {

// A file mapped read-only; the pages go back to the system with it. A file that another program
// shortens while it is mapped ends the process (SIGBUS): model files are not written in place.
class Mapping {
public:
    explicit Mapping(const std::string & path); // MODEL: missing, unreadable, empty, a folder
    ~Mapping();
    Mapping(const Mapping &) = delete;
    Mapping & operator=(const Mapping &) = delete;
    const uint8_t * data() const { return data_; }
    size_t size() const { return size_; }
    // Lets the pages of a range go from memory; they come back from the file when read again.
    void release(const uint8_t * begin, size_t size) const;

private:
    const uint8_t * data_ = nullptr;
    size_t size_ = 0;
};

} // namespace ltx2
