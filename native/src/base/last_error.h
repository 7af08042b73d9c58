// The words of a thread's last failure. They are written where memory may have run out, so they
// are no thread-local variable: the first use of one in a thread takes memory, and ends the process
// where there is none.
#pragma once

namespace ltx2 {

void set_last_error(const char * text) noexcept;
const char *
last_error() noexcept; // valid until this thread's next failure, empty before the first

} // namespace ltx2
