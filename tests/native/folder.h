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
    std::string at(const std::string & name) const { return (path / name).string(); }
    Folder & put(const std::string & name, const std::string & bytes) {
        std::filesystem::create_directories((path / name).parent_path());
        std::ofstream(path / name, std::ios::binary) << bytes;
        return *this;
    }
};
