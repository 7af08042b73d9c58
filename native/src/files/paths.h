// Which files a path stands for, and what is next to a file. Paths are UTF-8 on every platform.
#pragma once

#include "files/json.h"

#include <string>
#include <vector>

namespace ltx2 {

bool is_folder(const std::string & path);
bool exists(const std::string & path);
std::string file_name(const std::string & path);
std::string folder_of(const std::string & path);
std::string resolved(const std::string & path); // equal for two ways to the same file
std::string next_to(const std::string & path, const std::string & name); // a neighbour's path
Json read_json(const std::string & path);                                // MODEL naming the file

// Files that make one: a file by itself, or the shards of one.
struct FileSet {
    std::vector<std::string> paths;
    std::vector<std::string> missing; // shards that belong to it
    bool asked_for = false;           // the caller named one of them, not just their folder
};

// What `paths`, files or folders of them, stand for; a file once, however often it is named. Shards
// belong together by name, wherever links lead, and one that is named brings the others; the first
// comes first. MODEL: a folder without any model file.
std::vector<FileSet> file_sets(const std::vector<std::string> & paths);

} // namespace ltx2
