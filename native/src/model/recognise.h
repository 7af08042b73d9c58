// Which parts of a model a file holds, judged by all of its tensors against the table of parts.
#pragma once

#include "files/coding.h"
#include "files/tensor_file.h"
#include "model/parts.h"

#include <map>

namespace ltx2 {

// Where a tensor's bytes are. `added` goes onto every value: Hugging Face stores Gemma's norms
// without the 1 that GGUF holds inside.
struct Source {
    const TensorInfo * info = nullptr;
    const TensorFile * file = nullptr;
    float added = 0;
    std::shared_ptr<const Coding> coding = nullptr; // null: its type says how it is stored

    // Of its values, outermost first.
    const std::vector<int64_t> & shape() const { return coding ? coding->shape : info->shape; }
    int64_t elements() const {
        return coding ? coding->rows() * coding->columns() : info->elements();
    }
};
bool holds_weights(ggml_type type); // rather than indices or bytes, as this library reads them
// MODEL that names the tensor where its type holds no weights or its rows no whole blocks.
void check_type(const Source & source, const std::string & name, int64_t row);

using Index = std::map<std::string, Source, std::less<>>; // by the reference's names

struct Found {
    const PartRow * row;
    Index tensors;            // of a part that is needed, or can be kept
    std::string architecture; // of a part that has several kinds, as its file states it
    Generations generations = any_generation; // that it can be of
};

struct Contents {
    std::vector<Found> parts; // in the table's order
    // Why nothing of it can be used, empty if it can: "is Gemma 2, which is not supported; ...".
    std::string problem;
    bool refused = true; // where the caller named the file: false if it is merely of no use
};

// Whether a name is of a pattern of model/parts.h; `number` receives what the first `#` stands for.
bool matches(std::string_view pattern, std::string_view name, std::string_view * number = nullptr);
// The part that a tensor, of no part that was found, seems to be of; null where nothing tells.
const PartRow * unused_part(const TensorInfo & tensor);

// By the model_version that a file states: any where it states none, 0 where none is known by it.
Generations stated_generations(const TensorFile & file);

// Where a text encoder's file states its sizes as Hugging Face does: LTX-2.5's text file in its
// metadata, also as a GGUF. Null: a GGUF of llama.cpp's kind, which has keys of its own.
const char * text_config_key(const TensorFile & file);

// What one file holds, or the shards of one together.
Contents recognise(const std::vector<const TensorFile *> & files);

} // namespace ltx2
