#include "files/paths.h"

#include "base/log.h"
#include "files/mapping.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <map>
#include <utility>

#ifndef _WIN32
#include <cerrno>
#include <dirent.h>
#include <memory>
#endif

namespace ltx2 {

namespace fs = std::filesystem;

// Of a repository in a Hugging Face cache, the snapshot that its refs/main names; of any other
// folder, the folder itself.
static fs::path snapshot_of(const fs::path & folder) {
    std::error_code error;
    const fs::path main = folder / "refs" / "main", snapshots = folder / "snapshots";
    if (!fs::is_regular_file(main, error) || !fs::is_directory(snapshots, error))
        return folder;
    const Mapping mapping(main.u8string());
    const std::string commit = while_unchanged(mapping, [&] {
        const auto * text = reinterpret_cast<const char *>(mapping.data());
        const auto is_letter = [](char c) { return std::isxdigit(static_cast<unsigned char>(c)); };
        return std::string(text, std::find_if_not(text, text + mapping.size(), is_letter));
    });
    if (commit.empty() || !fs::is_directory(snapshots / commit, error))
        fail(LTX2_STATUS_MODEL,
             "%s: the snapshot that refs/main names is not there; download the repository again",
             folder.u8string().c_str());
    return snapshots / commit;
}

#ifdef _WIN32
static std::vector<fs::path> entries(const fs::path & folder) {
    std::vector<fs::path> found;
    std::error_code error;
    for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
         entry.increment(error))
        found.push_back(entry->path());
    if (error)
        fail(LTX2_STATUS_MODEL, "%s: the folder cannot be read: %s", folder.u8string().c_str(),
             error.message().c_str());
    return found;
}
#else
// Without libstdc++'s iterator, which ends the process where memory runs out.
static std::vector<fs::path> entries(const fs::path & folder) {
    const std::unique_ptr<DIR, int (*)(DIR *)> open(opendir(folder.c_str()), closedir);
    std::vector<fs::path> found;
    errno = open ? 0 : errno;
    while (const dirent * entry = open ? readdir(open.get()) : nullptr) {
        found.push_back(folder / entry->d_name);
        errno = 0;
    }
    if (errno)
        fail(errno == ENOMEM ? LTX2_STATUS_OUT_OF_MEMORY : LTX2_STATUS_MODEL,
             "%s: the folder cannot be read: %s", folder.c_str(),
             std::generic_category().message(errno).c_str());
    return found;
}
#endif

static void look(const fs::path & at, bool below, std::vector<std::string> & found);

// In a folder, what cannot be used is skipped.
static void look_below(const fs::path & at, std::vector<std::string> & found) {
    try { // it fails before it finds any
        look(at, false, found);
    } catch (const Error & e) {
        if (e.status() != LTX2_STATUS_MODEL)
            throw;
        log(Level::info, "%s", e.what());
    }
}

static void look(const fs::path & at, bool below, std::vector<std::string> & found) {
    for (const fs::path & path : entries(snapshot_of(at))) {
        std::error_code ignored;
        if (path.filename().u8string()[0] == '.') // a download's or a system's leftovers
            continue;
        if (fs::is_directory(path, ignored)) {
            if (below)
                look_below(path, found);
        } else if (path.extension() == ".gguf" || path.extension() == ".safetensors") {
            found.push_back(path.u8string());
        }
    }
}

// The path itself, or of a folder the model files in it and one level below, sorted.
static std::vector<std::string> model_files(const std::string & path) {
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

std::string next_to(const std::string & path, const std::string & name) {
    return (fs::u8path(path).parent_path() / fs::u8path(name)).u8string();
}

std::string resolved(const std::string & path) {
    std::error_code error;
    const fs::path canonical = fs::canonical(fs::u8path(path), error);
    return error ? path : canonical.u8string();
}

Json read_json(const std::string & path) {
    const Mapping mapping(path);
    const std::string_view text(reinterpret_cast<const char *>(mapping.data()), mapping.size());
    return while_unchanged(mapping, [&] { return Json::parse(text, path); });
}

// The names of the shards that the table next to them lists; empty without one.
static std::vector<std::string> listed_shards(const std::string & folder) {
    const std::string index = (fs::u8path(folder) / "model.safetensors.index.json").u8string();
    std::vector<std::string> names;
    try {
        const Json json = exists(index) ? read_json(index) : Json();
        if (const std::optional<Json> map = json.find("weight_map"))
            for (const auto & [tensor, shard] : map->object(index + ": weight_map"))
                names.emplace_back(shard.string(index + ": weight_map"));
    } catch (const Error & e) { // the shards' own names say the same
        if (e.status() != LTX2_STATUS_MODEL)
            throw;
        log(Level::warning, "%s", e.what());
        return {};
    }
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    return names;
}

// All names of a file named model-00002-of-00005.safetensors, or .gguf; of another, its own.
static std::vector<std::string> numbered_shards(const std::string & name) {
    const size_t dot = std::min(name.rfind('.'), name.size());
    const std::string form = "-00000-of-00000" + name.substr(dot); // any digit for a zero
    if (name.size() < form.size())
        return {name};
    const std::string model = name.substr(0, name.size() - form.size());
    const std::string end = name.substr(model.size());
    for (size_t i = 0; i < form.size(); ++i)
        if (form[i] == '0' ? end[i] < '0' || end[i] > '9' : end[i] != form[i])
            return {name};
    const int count = std::min(std::stoi(end.substr(10)), 1000), own = std::stoi(end.substr(1));
    if (own < 1 || own > count) // none of its own series
        return {name};
    std::vector<std::string> names;
    for (int i = 1; i <= count; ++i)
        names.push_back(words("%s-%05d-of-%s", model.c_str(), i, end.c_str() + 10));
    return names;
}

static std::vector<std::string> shards_of(const std::string & folder, const std::string & name) {
    const std::vector<std::string> listed = listed_shards(folder);
    return std::binary_search(listed.begin(), listed.end(), name) ? listed : numbered_shards(name);
}

namespace {
struct File {
    std::string path;
    bool asked_for;
};
} // namespace

// Each file once. Of two names of one, the link: it was laid where the file is wanted.
static std::vector<File> files_of(const std::vector<std::string> & paths) {
    std::vector<File> files;
    std::map<std::string, size_t> known;
    for (const std::string & path : paths) {
        const bool asked_for = !is_folder(path);
        for (const std::string & file : model_files(path)) {
            const auto [at, fresh] = known.emplace(resolved(file), files.size());
            if (fresh)
                files.push_back({file, asked_for});
            File & same = files[at->second];
            same.asked_for = same.asked_for || asked_for;
            std::error_code error;
            if (fs::is_symlink(fs::u8path(file), error))
                same.path = file;
        }
    }
    return files;
}

// One shard that is named brings the others next to it; the first is the one that states things.
static void complete(FileSet & set) {
    for (const std::string & name : std::exchange(set.missing, {})) {
        const std::string path = next_to(set.paths[0], name);
        const bool there = exists(path);
        (there ? set.paths : set.missing).push_back(there ? path : name);
    }
    const auto by_name = [](const std::string & a, const std::string & b) {
        return file_name(a) < file_name(b);
    };
    std::sort(set.paths.begin(), set.paths.end(), by_name);
}

std::vector<FileSet> file_sets(const std::vector<std::string> & paths) {
    std::vector<FileSet> sets;
    std::map<std::pair<std::string, std::string>, size_t> known; // by folder and first shard
    for (const File & file : files_of(paths)) {
        const std::string name = file_name(file.path), parent = folder_of(file.path);
        const std::string folder = resolved(parent.empty() ? "." : parent);
        const std::vector<std::string> shards = shards_of(folder, name);
        const auto [at, fresh] = known.emplace(std::pair(folder, shards[0]), sets.size());
        if (fresh)
            sets.push_back({{}, shards, false});
        FileSet & set = sets[at->second];
        set.paths.push_back(file.path);
        set.asked_for = set.asked_for || file.asked_for;
        set.missing.erase(std::remove(set.missing.begin(), set.missing.end(), name),
                          set.missing.end());
    }
    for (FileSet & set : sets)
        complete(set);
    return sets;
}

} // namespace ltx2
