// ggml's abort(): the last words of the process, or, where a caller asks for it, an exception.
#pragma once

#include <exception>
#include <thread>

namespace ltx2 {

// What a GPU's backend says in place of going on, where ggml would end the process: an exception
// that leaves its locks and its memory in whatever state they had. Whoever catches it must not use
// the backend again.
class Aborted : public std::exception {
public:
    Aborted(const char * why, const char * words);
    const char * what() const noexcept override { return words_; }

private:
    char words_[512];
};

// While one lives, ggml's abort() in this thread throws Aborted.
class AbortsThrow {
public:
    AbortsThrow();
    ~AbortsThrow();
    AbortsThrow(const AbortsThrow &) = delete;
    static bool in_this_thread(); // whether one lives

    // An error that ggml logs: what an abort in this thread says first. CUDA's backend logs why,
    // and aborts with the same words whatever the reason.
    static void hear(const char * words);

private:
    friend void on_abort(const char * words);
    static AbortsThrow * newest(); // of this thread; the list is locked
    std::thread::id thread_;
    AbortsThrow * older_;
    char heard_[256] = "";
};

// What ggml calls before it ends the process: base/log.cpp says so when the library is loaded.
void on_abort(const char * words);

} // namespace ltx2
