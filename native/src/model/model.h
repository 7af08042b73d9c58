// A model is a set of files: paths -> which file holds which part -> each part's tensors by the
// reference's names, and the config that is about it. Reads metadata only.
#pragma once

#include "files/config.h"
#include "files/paths.h"
#include "model/adapters.h"

#include <list>

namespace ltx2 {

// One part of an opened model; one that is not used has tensors alone, for a conversion.
struct Part {
    const PartRow * row = nullptr;
    const TensorFile * file = nullptr; // that holds it; of several, the first
    std::string whole;                 // that file, or the folder that several make the part in
    Json config = Json(Json::Object());
    std::map<std::string, std::string, std::less<>>
        config_paths; // by group: the file that states it
    Index tensors;
    std::string architecture;                 // "gemma3", of a part that has several kinds
    Generations generations = any_generation; // that it can be of
    LowRanks adapters;                        // what is added to its matrices

    Config group(const char * name) const { // of the config, empty where it is not stated
        const auto path = config_paths.find(name);
        return Config(config.find(name), (path == config_paths.end() ? file->path : path->second) +
                                             ": config " + name + ".");
    }
};

class Model {
public:
    // Files, or folders of them: a folder stands for its *.gguf and *.safetensors files and for
    // those of the folders inside it. Each file says what it holds. Any parts will do; what a
    // folder holds besides is skipped and logged. Errors: MODEL naming the file: one that was asked
    // for cannot be read or is no part of LTX-2, or two hold the same part.
    // `adapters` are files of them, and how strongly each counts; which may change with time.
    explicit Model(const std::vector<std::string> & paths,
                   const std::vector<Adapter> & adapters = {});

    const Part * find(std::string_view id) const;
    const Part & need(std::string_view id) const; // MODEL: what is missing and where to get it
    void need_all() const;                        // the same of all parts that a video needs
    // The transformer's; without one, what the others leave open.
    const Generation & generation() const;
    void check_generations() const; // that all parts can be of it. MODEL
    // Those that a part of it is read from, and those of adapters.
    const std::list<TensorFile> & files() const { return files_; }
    const std::list<Adapter> & adapters() const { return adapters_; }
    // Shares of what the caller gave: of those that make a dev model a distilled one, of those that
    // were trained with references of another size, and of others.
    void set_strengths(float distilled, float referring, float others);
    // MODEL where one of its files has been written to since it was opened. Microseconds.
    void check_unchanged() const;

private:
    struct Skipped {
        std::string path, why;
        bool stranger; // it is no part at all
    };
    void add(const FileSet & set);
    void skip(const FileSet & set, const std::string & why, bool stranger, bool refused);
    const Part * leader() const;
    void claim(Found & found, const Contents & all, const FileSet & set, const TensorFile & file);
    void read_configs();
    void add_adapter(Adapter & adapter);
    [[noreturn]] void fail_missing(const std::vector<const PartRow *> & missing) const;

    std::list<TensorFile> files_, unused_;      // tensors are pointed at
    std::map<const TensorFile *, Json> stated_; // configs
    std::vector<Skipped> skipped_;
    std::map<std::string_view, Part> parts_; // by id
    std::list<Adapter> adapters_;            // are pointed at
};

} // namespace ltx2
