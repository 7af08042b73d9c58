// The parts of a model: the one list of them, and what the makers of files call their tensors.
#pragma once

#include "files/tensor_file.h"

#include <string_view>

namespace ltx2 {

enum class Need { always, never }; // never: recognised and named in messages, not loaded

struct PartRow {
    const char * id;    // as `info` prints it
    const char * title; // as a message says it
    Need need;
    const char * source;              // where to get it
    bool many_files;                  // the files of one folder may hold it together
    std::vector<const char *> groups; // of a checkpoint's config that are about it
    const char * prefix;              // of its tensors in the official file; Place leaves it out
};

const std::vector<PartRow> & part_rows(); // in the order the pipeline needs them

struct Place {
    const PartRow * part = nullptr; // null: a video does not need the tensor (audio, vision)
    std::string name;               // the official one, without the part's prefix
    float added = 0; // Hugging Face stores norms without the 1 that GGUF holds inside
};

// How one file names its tensors, judged by all of them.
class Naming {
public:
    explicit Naming(const ModelFile & file); // MODEL: a layout that is known and not read
    Place place(const std::string & name) const;

    bool gemma = false; // the file is a text encoder's, or a shard of one
    bool lora = false;
    bool audio = false; // some tensors are the sound's

private:
    bool bare_vae_ = false;
};

} // namespace ltx2
