// A model's files -> the one GGUF file that replaces them: its keys, its tensors' names, types and
// shapes, and their values, quantised. docs/gguf.md states the layout and the rules. Reads and
// computes only; the caller writes.
#pragma once

#include "ltx2.h"
#include "model/builtin/generations.h"
#include "model/model.h"
#include "storage.h"

namespace ltx2 {

std::vector<std::string> conversion_types();    // how matrices can be stored
std::vector<std::string> conversion_variants(); // whose sampling a file can state

// ltx2_conversion_params, received.
struct ConversionRequest {
    std::vector<std::string> files;
    std::string type = ""; // q8_0
    std::string variant = "";
    std::vector<std::string> tensor_type = {};
    bool audio = true;
    uint64_t target_size = 0;           // none
    std::vector<Adapter> adapters = {}; // are merged into the matrices
};

class Conversion : public ltx2_conversion { // whose fields point into what it holds
public:
    // Files as Model takes them: a text encoder, or any parts of a checkpoint. Errors: MODEL,
    // INVALID_ARGUMENT.
    explicit Conversion(const ConversionRequest & request);

    // ltx2_conversion_read.
    void read(int32_t tensor, int64_t first, int64_t count, void * out, size_t size) const;

private:
    struct Item { // one tensor of the new file
        const Part * part;
        const Source * source;
        std::string name;
        std::vector<int64_t> shape; // outermost first, at most four
        ggml_type type = GGML_TYPE_F32;
        uint64_t place = 0;  // bytes in the file, up to the next tensor
        bool scales = false; // of the rows of a matrix in codes, the item before

        bool in_codes() const { return type == GGML_TYPE_I8; }
        int64_t elements() const;
        int64_t row() const { return source->shape().back(); } // values of the source's
    };

    void add_items(const Part & part);
    std::string architecture() const;
    void add_paths(const ConversionRequest & request);
    Json metadata(const std::string & name, const std::vector<Adapter> & adapters) const;
    void add_adapters(const std::vector<Adapter> & adapters, Json & metadata) const;
    void choose_types(const ConversionRequest & request, Json & metadata);
    void add_type_metadata(const ConversionRequest & request, const Fit & fit,
                           Json & metadata) const;
    void add_text_metadata(Json & metadata) const;
    void add_video_metadata(Json & metadata) const;
    std::string sampling() const;
    Json::Array tensors() const;
    Json::Array dropped() const;
    uint64_t head_size(const Json & metadata) const;
    void add_scales(Json & metadata);
    const std::vector<LowRank> * added(const Item & item) const;
    std::vector<float> values_of(const Item & item, int64_t first, int64_t count) const;
    void encode_rows(const Item & item, int64_t first, int64_t count, uint8_t * out) const;
    void encode(const Item & item, int64_t first, int64_t count, uint8_t * out) const;

    const Variant * variant_; // as the caller says, or null
    const StorageType * type_;
    Model model_;
    std::vector<const Part *> parts_;
    std::vector<Item> items_;
    std::vector<std::string> paths_;
    std::vector<const char *> files_; // into paths_
    std::string plan_;
};

} // namespace ltx2
