#include "files/read_ahead.h"

#include <algorithm>
#include <system_error>

namespace ltx2 {

static void let_go(const FilePart & part, ReadAhead::Let let) {
    if (let == ReadAhead::Let::forget)
        part.file->forget(part.begin, part.size);
    else if (let == ReadAhead::Let::release)
        part.file->release(part.begin, part.size);
}

void ReadAhead::move(const FileParts & done, Let let, const FileParts & next) {
    if (!thread_.joinable())
        try {
            ends_ = false;
            thread_ = std::thread([this] { work(); });
        } catch (const std::system_error &) { // no thread: then without reading ahead
            for (const FilePart & part : done)
                let_go(part, let);
            return;
        }
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        std::vector<Job> jobs;
        for (auto part = next.rbegin(); part != next.rend(); ++part)
            jobs.push_back({*part, Let::stay});
        if (let != Let::stay)
            for (const FilePart & part : done)
                jobs.push_back({part, let});
        for (const Job & job : jobs_)
            if (job.let != Let::stay)
                jobs.push_back(job);
        jobs_ = std::move(jobs);
    }
    wake_.notify_one();
}

void ReadAhead::work() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
        wake_.wait(lock, [&] { return ends_ || !jobs_.empty(); });
        if (jobs_.empty())
            return;
        const Job job = jobs_.back();
        jobs_.pop_back();
        if (job.let == Let::stay && ends_)
            continue;
        lock.unlock();
        if (job.let == Let::stay)
            job.part.file->read_ahead(job.part.begin, job.part.size);
        else
            let_go(job.part, job.let);
        lock.lock();
    }
}

void ReadAhead::end() {
    if (!thread_.joinable())
        return;
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        ends_ = true;
    }
    wake_.notify_one();
    thread_.join();
    jobs_.clear();
}

} // namespace ltx2
