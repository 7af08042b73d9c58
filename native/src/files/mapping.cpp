#include "files/mapping.h"

#include "files/mapping_guard.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#if defined(_WIN32)
#include <windows.h>
#else
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

namespace ltx2 {

#if defined(_WIN32)

[[noreturn]] static void cannot(const std::string & path, const char * what) {
    fail(LTX2_STATUS_MODEL, "%s: cannot be %s (Windows error %lu)", path.c_str(), what,
         static_cast<unsigned long>(GetLastError()));
}

static std::wstring wide(const std::string & path) {
    const int size = static_cast<int>(path.size());
    const int length = MultiByteToWideChar(CP_UTF8, 0, path.data(), size, nullptr, 0);
    std::wstring out(static_cast<size_t>(length), L'\0');
    MultiByteToWideChar(CP_UTF8, 0, path.data(), size, &out[0], length);
    return out;
}

namespace {
struct Handle {
    HANDLE value;
    ~Handle() {
        if (value != nullptr && value != INVALID_HANDLE_VALUE)
            CloseHandle(value);
    }
};
} // namespace

Mapping::Mapping(std::string given) : path_(std::move(given)) {
    const std::string & path = path_;
    const std::wstring name = wide(path);
    const DWORD attributes = GetFileAttributesW(name.c_str());
    if (attributes == INVALID_FILE_ATTRIBUTES)
        fail(LTX2_STATUS_MODEL, "%s: there is no such file", path.c_str());
    if ((attributes & FILE_ATTRIBUTE_DIRECTORY) != 0)
        fail(LTX2_STATUS_MODEL, "%s: is a folder, not a file", path.c_str());
    const Handle file{CreateFileW(name.c_str(), GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_DELETE,
                                  nullptr, OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, nullptr)};
    LARGE_INTEGER size;
    if (file.value == INVALID_HANDLE_VALUE || !GetFileSizeEx(file.value, &size))
        cannot(path, "opened");
    if (size.QuadPart == 0)
        fail(LTX2_STATUS_MODEL, "%s: the file is empty", path.c_str());
    const Handle map{CreateFileMappingW(file.value, nullptr, PAGE_READONLY, 0, 0, nullptr)};
    void * view = map.value ? MapViewOfFile(map.value, FILE_MAP_READ, 0, 0, 0) : nullptr;
    if (view == nullptr)
        cannot(path, "mapped");
    data_ = static_cast<const uint8_t *>(view);
    size_ = static_cast<size_t>(size.QuadPart);
}

Mapping::~Mapping() { UnmapViewOfFile(data_); }

void Mapping::check_unchanged() const {}

void Mapping::release(const uint8_t * begin, size_t size) const {
    // Unlocking pages that are not locked takes them from the working set.
    VirtualUnlock(const_cast<uint8_t *>(begin), size);
}

void Mapping::forget(const uint8_t * begin, size_t size) const { release(begin, size); }

void Mapping::read_ahead(const uint8_t * begin, size_t size) const {
    WIN32_MEMORY_RANGE_ENTRY range = {const_cast<uint8_t *>(begin), size};
    PrefetchVirtualMemory(GetCurrentProcess(), 1, &range, 0);
}

#else

namespace {
struct Descriptor {
    int value;
    ~Descriptor() {
        if (value >= 0)
            close(value);
    }
    int release() { return std::exchange(value, -1); }
};
} // namespace

[[noreturn]] static void cannot(const std::string & path, const char * what) {
    fail(LTX2_STATUS_MODEL, "%s: cannot be %s: %s", path.c_str(), what, std::strerror(errno));
}

static const timespec & written(const struct stat & info) {
#if defined(__APPLE__)
    return info.st_mtimespec;
#else
    return info.st_mtim;
#endif
}

Mapping::Mapping(std::string given) : path_(std::move(given)) {
    const std::string & path = path_;
    // Without O_NONBLOCK, opening a pipe would wait for its writer.
    Descriptor file{open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    if (file.value < 0 && errno == ENOENT)
        fail(LTX2_STATUS_MODEL, "%s: there is no such file", path.c_str());
    struct stat info;
    if (file.value < 0 || fstat(file.value, &info) != 0)
        cannot(path, "opened");
    if (S_ISDIR(info.st_mode))
        fail(LTX2_STATUS_MODEL, "%s: is a folder, not a file", path.c_str());
    if (!S_ISREG(info.st_mode))
        fail(LTX2_STATUS_MODEL, "%s: is not a regular file", path.c_str());
    if (info.st_size <= 0)
        fail(LTX2_STATUS_MODEL, "%s: the file is empty", path.c_str());
    if (static_cast<uint64_t>(info.st_size) > SIZE_MAX)
        fail(LTX2_STATUS_MODEL, "%s: too large for this machine's address space", path.c_str());
    const size_t size = static_cast<size_t>(info.st_size);
    void * view = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.value, 0);
    if (view == MAP_FAILED)
        cannot(path, "mapped");
    try {
        watched_ = watch(view, size);
    } catch (...) {
        munmap(view, size);
        throw;
    }
    data_ = static_cast<const uint8_t *>(view);
    size_ = size;
    seconds_ = written(info).tv_sec, nanoseconds_ = written(info).tv_nsec;
    file_ = file.release();
}

Mapping::~Mapping() {
    unwatch(watched_);
    munmap(const_cast<uint8_t *>(data_), size_);
    close(file_);
}

void Mapping::check_unchanged() const {
    const char * path = path_.c_str();
    struct stat info;
    if (fstat(file_, &info) != 0) // a network's file that is gone, for one
        fail(LTX2_STATUS_MODEL, "%s: could not be read while it was in use: %s", path,
             std::strerror(errno));
    const size_t size = static_cast<size_t>(info.st_size);
    if (size < size_)
        fail(LTX2_STATUS_MODEL,
             "%s: was shortened while it was in use, from %zu bytes to %zu; open it again", path,
             size_, size);
    if (size != size_ || written(info).tv_sec != seconds_ || written(info).tv_nsec != nanoseconds_)
        fail(LTX2_STATUS_MODEL, "%s: was written to while it was in use; open it again", path);
    if (watched_->lost)
        fail(LTX2_STATUS_MODEL, "%s: a part of it could not be read while it was in use", path);
}

// Calls act(offset, size) for the pages of a range, the partly covered ones too.
template <class Act>
static void on_pages(const Mapping & map, const uint8_t * begin, size_t size, Act act) {
    if (begin < map.data() || begin > map.data() + map.size() || size == 0)
        return;
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    const size_t at = static_cast<size_t>(begin - map.data()), first = at / page * page;
    act(first, at + std::min(size, map.size() - at) - first);
}

// What a neighbour still needs of the first and the last page is read again.
void Mapping::release(const uint8_t * begin, size_t size) const {
    on_pages(*this, begin, size, [&](size_t offset, size_t length) {
        madvise(const_cast<uint8_t *>(data_) + offset, length, MADV_DONTNEED);
    });
}

void Mapping::forget(const uint8_t * begin, size_t size) const {
    release(begin, size); // first: what is mapped stays
#if defined(POSIX_FADV_DONTNEED)
    on_pages(*this, begin, size, [&](size_t offset, size_t length) {
        posix_fadvise(file_, static_cast<off_t>(offset), static_cast<off_t>(length),
                      POSIX_FADV_DONTNEED);
    });
#endif
}

void Mapping::read_ahead(const uint8_t * begin, size_t size) const {
    // Linux reads no more for one call than its read-ahead window, by default this.
    const size_t most = size_t{128} << 10;
    on_pages(*this, begin, size, [&](size_t offset, size_t length) {
        for (size_t done = 0; done < length; done += most)
            madvise(const_cast<uint8_t *>(data_) + offset + done, std::min(most, length - done),
                    MADV_WILLNEED);
    });
}

#endif

} // namespace ltx2
