// Which files a path stands for, and what lies beside a file. Paths are UTF-8 on every platform.
#pragma once

#include "files/json.h"

#include <string>
#include <vector>

namespace ltx2 {

// The path itself, or of a folder the model files in it and one level below, sorted. MODEL: a
// folder without any, or that cannot be read.
std::vector<std::string> model_files(const std::string & path);
bool is_folder(const std::string & path);
bool exists(const std::string & path);
std::string file_name(const std::string & path);
std::string folder_of(const std::string & path);
std::string beside(const std::string & path, const std::string & name); // a neighbour's path
std::string resolved(const std::string & path); // equal for two ways to the same file
Json read_json(const std::string & path);       // MODEL naming the file

// The names that model.safetensors.index.json beside `path` lists; empty without one.
std::vector<std::string> shards_beside(const std::string & path);

} // namespace ltx2
