// What callers hold by pointer. A pointer that is not in the table, or no longer, is never
// followed; and what a call has found lives until that call ends, whoever closes it meanwhile.
#pragma once

#include <memory>
#include <mutex>
#include <unordered_map>

namespace ltx2 {

template <class T>
class Handles {
public:
    void add(const void * handle, std::shared_ptr<T> object) {
        const std::lock_guard<std::mutex> lock(mutex_);
        objects_.emplace(handle, std::move(object));
    }

    // Null: there is none.
    std::shared_ptr<T> find(const void * handle) {
        const std::lock_guard<std::mutex> lock(mutex_);
        const auto at = objects_.find(handle);
        return at == objects_.end() ? nullptr : at->second;
    }
    std::shared_ptr<T> take(const void * handle) {
        const std::lock_guard<std::mutex> lock(mutex_);
        const auto at = objects_.find(handle);
        if (at == objects_.end())
            return nullptr;
        std::shared_ptr<T> object = std::move(at->second);
        objects_.erase(at);
        return object;
    }

private:
    std::mutex mutex_;
    std::unordered_map<const void *, std::shared_ptr<T>> objects_;
};

} // namespace ltx2
