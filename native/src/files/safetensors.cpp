// safetensors: the header's length (8 bytes, little endian), a JSON header, the data without holes.
#include "files/tensor_file.h"

#include "base/utf8.h"

#include <algorithm>
#include <cstring>

namespace ltx2 {

namespace {

constexpr uint64_t max_header = 100000000; // the format's own limit
constexpr size_t max_rank = 8;
// "a":{"dtype":"F4","shape":[],"data_offsets":[0,0]}, the fewest bytes that a tensor takes
constexpr size_t least_tensor = 50;

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
        file_.data = data;
        file_.path = where_ = path;
        file_.format = "safetensors";
    }

    TensorFile read() {
        const Json header = Json::parse(read_header(), file_.path + ": header");
        const Json::Object entries = header.object(file_.path + ": header");
        file_.metadata = Json::Object();
        file_.tensors.reserve(std::min(entries.size(), size_ / least_tensor));
        for (const auto & [name, value] : entries)
            if (name == "__metadata__")
                metadata(value);
            else
                tensor(name, value);
        where_ = file_.path;
        refuse_holes();
        index_by_name(file_);
        return std::move(file_);
    }

private:
    [[noreturn]] void problem(const std::string & text) const {
        fail(LTX2_STATUS_MODEL, "%s: %s", where_.c_str(), text.c_str());
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
        where_ = file_.path + ": __metadata__";
        for (const auto & [key, text] : value.object(where_))
            text.string(where_ + ": " + shown(key)); // the format allows nothing else
        file_.metadata = value.copy();
    }

    void tensor(std::string_view name, const Json & value) {
        where_ = file_.path + ": tensor " + shown(name);
        const auto field = [&](const char * key) {
            const std::optional<Json> found = value.find(key);
            if (!found)
                problem(std::string("no ") + key);
            return *found;
        };
        value.object(where_);
        TensorInfo info;
        info.name = name;
        if (name.empty() || name.find('\0') != std::string_view::npos)
            problem("an empty name or a zero byte in it");
        const Json stated = field("dtype");
        const std::string_view type = stated.string(where_ + ": dtype");
        const auto * dtype = std::find_if(std::begin(dtypes), std::end(dtypes),
                                          [&](const Dtype & d) { return type == d.name; });
        if (dtype == std::end(dtypes))
            problem("dtype " + shown(type) + " is unknown");
        info.dtype = dtype->name;
        info.type = dtype->type;
        info.shape = integers(field("shape"), "shape");
        if (info.shape.size() > max_rank)
            problem(words("%zu dimensions; at most %zu can be", info.shape.size(), max_rank));
        for (const int64_t dimension : info.shape)
            if (dimension < 0)
                problem(words("a dimension is %lld", static_cast<long long>(dimension)));
        place(info, integers(field("data_offsets"), "data_offsets"), dtype->bits);
        file_.tensors.push_back(std::move(info));
    }

    std::vector<int64_t> integers(const Json & array, const char * key) const {
        const std::string what = where_ + ": " + key;
        std::vector<int64_t> out;
        for (const Json & value : array.array(what))
            out.push_back(value.integer(what));
        return out;
    }

    void place(TensorInfo & info, const std::vector<int64_t> & offsets, uint64_t bits) const {
        if (offsets.size() != 2)
            problem(words("%zu data_offsets, not 2", offsets.size()));
        const int64_t first = offsets[0], last = offsets[1];
        const size_t room = size_ - begin_;
        if (first < 0 || last < first || static_cast<uint64_t>(last) > room)
            problem(words("data_offsets [%lld, %lld] of %zu bytes of data%s",
                          static_cast<long long>(first), static_cast<long long>(last), room,
                          last > first ? "; the file is not complete" : ""));
        info.data = data_ + begin_ + first;
        info.size = static_cast<size_t>(last - first);
        uint64_t elements = 0;
        const bool counted = count_elements(info.shape, elements);
        // Elements of less than a byte are packed, and fill their bytes.
        if (!counted || elements > static_cast<uint64_t>(INT64_MAX) / bits ||
            elements * bits % 8 != 0 || elements * bits / 8 != info.size) {
            problem(words("its shape and %s do not make %zu bytes", info.dtype, info.size));
        }
    }

    // The data of all tensors, in some order, fills the file from the header to the end.
    void refuse_holes() const {
        const uint8_t * end = data_ + begin_;
        for (const TensorInfo * tensor : sorted_by_place(file_)) {
            if (tensor->data != end)
                problem(
                    "tensor " + shown(tensor->name) +
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
    size_t begin_ = 0;  // of the data
    std::string where_; // what is being read, for messages
    TensorFile file_;
};

} // namespace

TensorFile read_safetensors(const uint8_t * data, size_t size, const std::string & path) {
    return Reader(data, size, path).read();
}

} // namespace ltx2
