// A model's files -> the one GGUF file that replaces them: its keys, its tensors' names, types and
// shapes, and their values, quantised. docs/gguf.md states the layout and the rules. Reads and
// computes only; the caller writes.
#pragma once

#include "ltx2.h"
#include "model/builtin/ltx_2_3.h"
#include "model/model.h"

namespace ltx2 {

std::vector<std::string> conversion_types();    // how matrices can be stored
std::vector<std::string> conversion_variants(); // whose sampling a file can state

class Conversion : public ltx2_conversion { // whose `plan` points into plan_
public:
    // `files` as Model takes them: a text encoder, or any parts of a checkpoint. Errors: MODEL,
    // INVALID_ARGUMENT naming the type or the variant (empty: what the file's name says).
    Conversion(const std::vector<std::string> & files, const std::string & type,
               const std::string & variant);

    // ltx2_conversion_read.
    void read(int32_t tensor, int64_t first, int64_t count, void * out, size_t size) const;

private:
    struct Item { // one tensor of the new file
        const Source * source;
        std::string name;
        std::vector<int64_t> shape; // outermost first, at most four
        ggml_type type;
    };

    void add_items();
    void add_text_metadata(Json & metadata) const;
    void add_video_metadata(Json & metadata) const;
    std::string sampling() const;
    void add_tensors(Json & plan) const;
    void encode(const Item & item, int64_t first, int64_t count, uint8_t * out) const;

    int wanted_;                        // of the types
    const Variant * variant_ = nullptr; // as the caller says
    Model model_;
    std::vector<const Part *> parts_;
    std::vector<Item> items_;
    std::string plan_;
};

} // namespace ltx2
