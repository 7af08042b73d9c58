// Reads parts of mapped files before they are needed, and lets go of those that were, on a thread
// of its own that sleeps otherwise. Nothing depends on it: where it is late, or the system gives no
// thread, a part is read when it is touched.
#pragma once

#include "files/mapping.h"

#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace ltx2 {

struct FilePart {
    const Mapping * file;
    const uint8_t * begin;
    size_t size;
};
using FileParts = std::vector<FilePart>;

class ReadAhead {
public:
    ReadAhead() = default;
    ~ReadAhead() { end(); }
    ReadAhead(const ReadAhead &) = delete;
    ReadAhead & operator=(const ReadAhead &) = delete;

    enum class Let { stay, release, forget };
    // Lets go of `done`, then reads `next`. What it has not begun to read of an earlier call, it
    // leaves. The files live until end().
    void move(const FileParts & done, Let let, const FileParts & next);
    void end(); // lets go of what there is to, and ends the thread

private:
    struct Job {
        FilePart part;
        Let let; // stay: read it
    };
    void work();

    std::thread thread_;
    std::mutex mutex_; // of what follows
    std::condition_variable wake_;
    std::vector<Job> jobs_; // the next one last
    bool ends_ = false;
};

} // namespace ltx2
