#include "files/paths.h"

#include "files/mapping.h"

#include <algorithm>
#include <filesystem>

namespace ltx2 {

namespace fs = std::filesystem;

static void look(const fs::path & folder, bool below, std::vector<std::string> & found) {
    std::error_code error;
    fs::directory_iterator entry(folder, error);
    const fs::directory_iterator end;
    for (; !error && entry != end; entry.increment(error)) {
        const fs::path & path = entry->path();
        std::error_code ignored;
        if (path.filename().u8string()[0] == '.') // a download's or a system's leftovers
            continue;
        if (entry->is_directory(ignored)) {
            if (below)
                look(path, false, found);
        } else if (path.extension() == ".gguf" || path.extension() == ".safetensors") {
            found.push_back(path.u8string());
        }
    }
    if (error)
        fail(LTX2_STATUS_MODEL, "%s: the folder cannot be read: %s", folder.u8string().c_str(),
             error.message().c_str());
}

std::vector<std::string> model_files(const std::string & path) {
    if (!is_folder(path))
        return {path};
    std::vector<std::string> found;
    look(fs::u8path(path), true, found);
    if (found.empty())
        fail(LTX2_STATUS_MODEL, "%s: holds no .gguf or .safetensors file", path.c_str());
    std::sort(found.begin(), found.end());
    return found;
}

bool is_folder(const std::string & path) {
    std::error_code error;
    return fs::is_directory(fs::u8path(path), error);
}

bool exists(const std::string & path) {
    std::error_code error;
    return fs::exists(fs::u8path(path), error);
}

std::string file_name(const std::string & path) { return fs::u8path(path).filename().u8string(); }
std::string folder_of(const std::string & path) {
    return fs::u8path(path).parent_path().u8string();
}

std::string beside(const std::string & path, const std::string & name) {
    return (fs::u8path(path).parent_path() / fs::u8path(name)).u8string();
}

std::string resolved(const std::string & path) {
    std::error_code error;
    const fs::path canonical = fs::canonical(fs::u8path(path), error);
    return error ? path : canonical.u8string();
}

Json read_json(const std::string & path) {
    const Mapping mapping(path);
    return Json::parse({reinterpret_cast<const char *>(mapping.data()), mapping.size()}, path);
}

std::vector<std::string> shards_beside(const std::string & path) {
    const std::string index = beside(path, "model.safetensors.index.json");
    if (!exists(index))
        return {};
    const Json json = read_json(index);
    const Json * map = json.find("weight_map");
    if (!map)
        fail(LTX2_STATUS_MODEL, "%s: has no weight_map", index.c_str());
    std::vector<std::string> names;
    for (const auto & entry : map->object(index + ": weight_map"))
        names.push_back(entry.second.string(index + ": weight_map"));
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    return names;
}

} // namespace ltx2
