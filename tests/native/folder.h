// A folder of temporary files.
#pragma once

#include "base/error.h"

#include <filesystem>
#include <fstream>
#include <random>
#include <string>

// Goes when the test ends.
struct Folder {
    std::filesystem::path path;

    Folder() {
        static int count = 0;
        static const unsigned run = std::random_device()();
        path =
            std::filesystem::temp_directory_path() / ltx2::words("ltx2-test-%u-%d", run, count++);
        std::filesystem::create_directories(path);
    }
    ~Folder() { std::filesystem::remove_all(path); }
    Folder(const Folder &) = delete;
    Folder & operator=(const Folder &) = delete;
    // Names and paths are UTF-8 on every platform, as in the library.
    std::string at(const std::string & name) const { return inside(name).u8string(); }
    std::string name() const { return path.u8string(); }
    Folder & put(const std::string & name, const std::string & bytes) {
        std::filesystem::create_directories(inside(name).parent_path());
        std::ofstream(inside(name), std::ios::binary) << bytes;
        return *this;
    }

private:
    std::filesystem::path inside(const std::string & name) const {
        return (path / std::filesystem::u8path(name)).make_preferred();
    }
};
