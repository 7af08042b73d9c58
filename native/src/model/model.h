// A model is a set of files: paths -> which file holds which part -> each part's tensors by the
// reference's names, and the config that is about it. Reads metadata only.
#pragma once

#include "files/config.h"
#include "model/parts.h"

#include <deque>
#include <map>
#include <set>

namespace ltx2 {

// Where a tensor's bytes are. `added` goes onto every value: Hugging Face stores Gemma's norms
// without the 1 that GGUF holds inside.
struct Source {
    const TensorInfo * info = nullptr;
    std::shared_ptr<Mapping> mapping;
    std::string path;
    float added = 0;
};
using Index = std::map<std::string, Source, std::less<>>; // by the reference's names

// One part of an opened model.
struct Part {
    const PartRow * row = nullptr;
    const ModelFile * file = nullptr; // that holds it; of several, the first
    std::string whole;                // that file, or the folder that several make the part in
    Json config = Json(Json::Object());
    std::string config_path; // the file that states the config
    Index tensors;

    Config group(const char * name) const { // of the config, empty where it is not stated
        return Config(config.find(name), config_path + ": config " + name + ".");
    }
};

class Model {
public:
    // Files, or folders of them: a folder stands for its *.gguf and *.safetensors files and for
    // those of the folders inside it. Each file says what it holds, by metadata or by its tensors'
    // names. Any parts will do. Errors: MODEL naming the file: unreadable, not LTX-2.3, a part
    // twice.
    explicit Model(const std::vector<std::string> & paths);

    const Part * find(std::string_view id) const;
    const Part & need(std::string_view id) const; // MODEL: what is missing and where to get it
    void need_all() const;                        // the same of all parts that a video needs

private:
    void add(const std::string & path, bool asked_for);
    void add_tensors(const ModelFile & file, const Naming & naming);
    Part & claim(const PartRow & row, const ModelFile & file);
    void check_versions() const;
    void check_shards() const;
    void read_configs();
    [[noreturn]] void fail_missing(const std::vector<const PartRow *> & missing) const;

    std::deque<ModelFile> files_; // tensors are pointed at
    std::deque<TensorInfo> reshaped_;
    std::set<std::string> seen_;             // files, however they were named
    std::map<std::string_view, Part> parts_; // by id
};

} // namespace ltx2
