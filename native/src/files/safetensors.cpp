// safetensors: the header's length (8 bytes, little endian), a JSON header, the data without holes.
#include "files/tensor_file.h"

#include "base/utf8.h"

#include <algorithm>
#include <cstring>

namespace ltx2 {

namespace {

constexpr uint64_t max_header = 100000000; // the format's own limit
constexpr size_t max_rank = 8;

struct Dtype {
    const char * name;
    ggml_type type; // GGML_TYPE_COUNT: ggml has no such type
    uint64_t bits;
};

constexpr Dtype dtypes[] = {
    {"F64", GGML_TYPE_F64, 64},          {"F32", GGML_TYPE_F32, 32},
    {"F16", GGML_TYPE_F16, 16},          {"BF16", GGML_TYPE_BF16, 16},
    {"I64", GGML_TYPE_I64, 64},          {"I32", GGML_TYPE_I32, 32},
    {"I16", GGML_TYPE_I16, 16},          {"I8", GGML_TYPE_I8, 8},
    {"U64", GGML_TYPE_COUNT, 64},        {"U32", GGML_TYPE_COUNT, 32},
    {"U16", GGML_TYPE_COUNT, 16},        {"U8", GGML_TYPE_COUNT, 8},
    {"BOOL", GGML_TYPE_COUNT, 8},        {"C64", GGML_TYPE_COUNT, 64},
    {"F8_E4M3", GGML_TYPE_COUNT, 8},     {"F8_E5M2", GGML_TYPE_COUNT, 8},
    {"F8_E4M3FNUZ", GGML_TYPE_COUNT, 8}, {"F8_E5M2FNUZ", GGML_TYPE_COUNT, 8},
    {"F8_E8M0", GGML_TYPE_COUNT, 8},     {"F6_E2M3", GGML_TYPE_COUNT, 6},
    {"F6_E3M2", GGML_TYPE_COUNT, 6},     {"F4", GGML_TYPE_COUNT, 4},
};

class Reader {
public:
    Reader(const uint8_t * data, size_t size, const std::string & path) : data_(data), size_(size) {
        file_.path = path;
        file_.format = "safetensors";
    }

    TensorFile read() {
        const Json header = Json::parse(read_header(), file_.path + ": header");
        const Json::Object & entries = header.object(file_.path + ": header");
        file_.metadata = Json(Json::Object());
        file_.tensors.reserve(entries.size());
        for (const auto & [name, value] : entries)
            if (name == "__metadata__")
                metadata(value);
            else
                tensor(name, value);
        refuse_holes();
        index_by_name(file_);
        return std::move(file_);
    }

private:
    [[noreturn]] void problem(const std::string & text) const {
        fail(LTX2_STATUS_MODEL, "%s: %s", file_.path.c_str(), text.c_str());
    }

    std::string_view read_header() {
        uint64_t length = 0;
        if (size_ < sizeof length)
            problem(words("not a safetensors file: %zu bytes", size_));
        std::memcpy(&length, data_, sizeof length);
        if (length > max_header || length > size_ - sizeof length)
            problem(words("the header is said to be %llu bytes long, the file is %zu",
                          static_cast<unsigned long long>(length), size_));
        const char * text = reinterpret_cast<const char *>(data_) + sizeof length;
        if (length == 0 || text[0] != '{')
            problem("not a safetensors file: the header does not begin with '{'");
        begin_ = sizeof length + static_cast<size_t>(length);
        return {text, static_cast<size_t>(length)};
    }

    void metadata(const Json & value) {
        const std::string where = file_.path + ": __metadata__";
        for (const auto & [key, text] : value.object(where))
            text.string(where + ": " + shown(key)); // the format allows nothing else
        file_.metadata = value;
    }

    void tensor(const std::string & name, const Json & value) {
        const std::string label = "tensor " + shown(name, 200);
        const std::string where = file_.path + ": " + label;
        const auto field = [&](const char * key) -> const Json & {
            const Json * found = value.find(key);
            if (found == nullptr)
                problem(label + ": no " + key);
            return *found;
        };
        value.object(where);
        TensorInfo info;
        info.name = name;
        if (name.empty() || name.find('\0') != std::string::npos)
            problem(label + ": an empty name or a zero byte in it");
        info.dtype = field("dtype").string(where + ": dtype");
        const auto dtype = std::find_if(std::begin(dtypes), std::end(dtypes),
                                        [&](const Dtype & d) { return info.dtype == d.name; });
        if (dtype == std::end(dtypes))
            problem(label + ": dtype " + shown(info.dtype) + " is unknown");
        info.type = dtype->type;
        read_shape(info, field("shape").array(where + ": shape"), label);
        place(info, field("data_offsets").array(where + ": data_offsets"), dtype->bits, label);
        file_.tensors.push_back(std::move(info));
    }

    void read_shape(TensorInfo & info, const Json::Array & shape, const std::string & label) const {
        if (shape.size() > max_rank)
            problem(label + words(": %zu dimensions; at most %zu can be", shape.size(), max_rank));
        for (const Json & dimension : shape) {
            const int64_t value = dimension.integer(file_.path + ": " + label + ": shape");
            if (value < 0)
                problem(label + words(": a dimension is %lld", static_cast<long long>(value)));
            info.shape.push_back(value);
        }
    }

    void place(TensorInfo & info, const Json::Array & offsets, uint64_t bits,
               const std::string & label) const {
        if (offsets.size() != 2)
            problem(label + words(": %zu data_offsets, not 2", offsets.size()));
        const std::string where = file_.path + ": " + label + ": data_offsets";
        const int64_t first = offsets[0].integer(where);
        const int64_t last = offsets[1].integer(where);
        const size_t room = size_ - begin_;
        if (first < 0 || last < first || static_cast<uint64_t>(last) > room)
            problem(label + words(": data_offsets [%lld, %lld] of %zu bytes of data%s",
                                  static_cast<long long>(first), static_cast<long long>(last), room,
                                  last > first ? "; the file is not complete" : ""));
        info.data = data_ + begin_ + first;
        info.size = static_cast<size_t>(last - first);
        uint64_t elements = 0;
        const bool counted = count_elements(info.shape, elements);
        // Elements of less than a byte are packed, and fill their bytes.
        if (!counted || elements > static_cast<uint64_t>(INT64_MAX) / bits ||
            elements * bits % 8 != 0 || elements * bits / 8 != info.size) {
            problem(label + words(": its shape and %s do not make %zu bytes", info.dtype.c_str(),
                                  info.size));
        }
    }

    // The data of all tensors, in some order, fills the file from the header to the end.
    void refuse_holes() const {
        refuse_overlap(file_);
        std::vector<const TensorInfo *> sorted;
        sorted.reserve(file_.tensors.size());
        for (const TensorInfo & tensor : file_.tensors)
            sorted.push_back(&tensor);
        std::sort(sorted.begin(), sorted.end(), [](const TensorInfo * a, const TensorInfo * b) {
            return a->data != b->data ? a->data < b->data : a->size < b->size;
        });
        const uint8_t * end = data_ + begin_;
        for (const TensorInfo * tensor : sorted) {
            if (tensor->data != end)
                problem(
                    "tensor " + shown(tensor->name, 200) +
                    words(": begins at %zu, where %zu was due", offset(tensor->data), offset(end)));
            end += tensor->size;
        }
        if (end != data_ + size_)
            problem(words("%zu bytes follow the last tensor",
                          static_cast<size_t>(data_ + size_ - end)));
    }

    size_t offset(const uint8_t * at) const { return static_cast<size_t>(at - data_) - begin_; }

    const uint8_t * data_;
    size_t size_;
    size_t begin_ = 0; // of the data
    TensorFile file_;
};

} // namespace

TensorFile read_safetensors(const uint8_t * data, size_t size, const std::string & path) {
    return Reader(data, size, path).read();
}

} // namespace ltx2
