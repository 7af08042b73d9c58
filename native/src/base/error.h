// One way out: everything that goes wrong inside is an `Error`, and api.cpp turns it into a status.
#pragma once

#include "ltx2.h"

#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>

namespace ltx2 {

using Status = ltx2_status;

class Error : public std::exception {
public:
    Error(Status status, const std::string & words); // made `visible`, and cut where very long
    Status status() const { return status_; }
    const char * what() const noexcept override { return words_.c_str(); }

private:
    Status status_;
    std::string words_;
};

// printf-style; words read `<what>: <problem>[; <what would do>]`, lower case, the value in it.
[[noreturn]] void fail(Status status, const char * format, ...)
    __attribute__((format(printf, 2, 3)));
std::string words(const char * format, ...) __attribute__((format(printf, 1, 2)));
// Within a `catch (...)`: that the caller's function `name` threw, and what.
[[noreturn]] void fail_thrown(const char * name);

// INVALID_ARGUMENT where a pointer of the caller's is null, or cannot be that of a T.
template <class T>
void need(const T * pointer, const char * name) {
    if (!pointer)
        fail(LTX2_STATUS_INVALID_ARGUMENT, "%s: null", name);
    if (reinterpret_cast<uintptr_t>(pointer) % alignof(T))
        fail(LTX2_STATUS_INVALID_ARGUMENT, "%s: %p is no multiple of %zu", name,
             static_cast<const void *>(pointer), alignof(T));
}

} // namespace ltx2
