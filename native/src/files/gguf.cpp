// GGUF, versions 2 and 3, little endian: magic, counts, metadata, tensor table, aligned data.
#include "files/tensor_file.h"

#include "base/round.h"
#include "base/utf8.h"
#include "files/json_packed.h"

#include <algorithm>
#include <cstring>
#include <map>

namespace ltx2 {

namespace {

// No real header comes near these; they keep a damaged or hostile one from costing memory.
constexpr size_t max_header = size_t{1} << 28;
constexpr uint64_t max_tensors = 1 << 20;
constexpr uint64_t max_name = 65535;
constexpr uint64_t max_alignment = 1 << 20;
constexpr size_t max_rank = 8; // of a shape in the metadata

// The fewest bytes that each takes: what a count is checked against.
constexpr size_t least_entry = 8 + 4 + 1;      // an empty key, a type, a byte
constexpr size_t least_tensor = 8 + 4 + 4 + 8; // an empty name, no dimensions, a type, an offset

class Reader {
public:
    Reader(const uint8_t * data, size_t size, const std::string & path) : data_(data), size_(size) {
        file_.data = data;
        file_.path = path;
    }

    TensorFile read() {
        const uint64_t entries = counts();
        const size_t inside = metadata_.open(Tag::object);
        for (uint64_t i = 0; i < entries; ++i)
            entry(i);
        metadata_.close(inside);
        where_.clear();
        const std::string key = repeated_key(std::string_view(metadata_.bytes).substr(inside));
        if (!key.empty())
            problem("key %s occurs twice", key.c_str());
        metadata_.bytes.shrink_to_fit();
        file_.metadata = Json::unpacked(std::move(metadata_.bytes));
        const size_t alignment = read_alignment();
        file_.tensors.reserve(static_cast<size_t>(tensor_count_));
        offsets_.reserve(static_cast<size_t>(tensor_count_));
        for (uint64_t i = 0; i < tensor_count_; ++i)
            tensor(i, alignment);
        where_.clear();
        place(alignment);
        offsets_ = {};
        restore_shapes();
        index_by_name(file_);
        sorted_by_place(file_);
        return std::move(file_);
    }

private:
    template <class... Values>
    [[noreturn]] void problem(const char * format, Values... values) const {
        const std::string text = words(format, values...);
        fail(LTX2_STATUS_MODEL, "%s: %s%s", file_.path.c_str(), where_.c_str(), text.c_str());
    }
    [[noreturn]] void problem(const char * text) const { problem("%s", text); }

    const uint8_t * take(uint64_t count) {
        if (count > size_ - at_)
            problem("the file ends too early: %llu bytes wanted at offset %zu of %zu",
                    static_cast<unsigned long long>(count), at_, size_);
        if (count > max_header - at_)
            problem("the header is over %zu bytes", max_header);
        const uint8_t * bytes = data_ + at_;
        at_ += static_cast<size_t>(count);
        return bytes;
    }

    template <class T>
    T value() {
        T out;
        std::memcpy(&out, take(sizeof out), sizeof out);
        return out;
    }

    std::string_view text() {
        const auto length = value<uint64_t>();
        const size_t start = at_;
        const std::string_view out(reinterpret_cast<const char *>(take(length)), length);
        const size_t bad = utf8_error(out);
        if (bad != std::string_view::npos)
            problem("text is not UTF-8 at offset %zu", start + bad);
        return out;
    }

    std::string_view name() {
        const std::string_view out = text();
        if (out.empty() || out.size() > max_name || out.find('\0') != std::string_view::npos)
            problem("a name is empty, over %llu bytes, or holds a zero byte: %s",
                    static_cast<unsigned long long>(max_name), shown(out).c_str());
        return out;
    }

    // A count that the rest of the file could hold, so that reserving for it is safe.
    void check_count(uint64_t count, size_t least, const char * of) const {
        if (count > (size_ - at_) / least)
            problem("%llu %s cannot be: %zu bytes are left at offset %zu",
                    static_cast<unsigned long long>(count), of, size_ - at_, at_);
    }

    // Reads up to the counts; gives that of the metadata entries.
    uint64_t counts() {
        if (std::memcmp(take(4), "GGUF", 4) != 0)
            problem("not a GGUF file: it does not begin with \"GGUF\"");
        const auto version = value<uint32_t>();
        if ((version & 0xFFFF) == 0 && version != 0)
            problem("a big endian GGUF file, which is not read");
        if (version != 2 && version != 3)
            problem("GGUF version %u is not read; 2 and 3 are", version);
        file_.format = words("GGUF v%u", version);
        tensor_count_ = value<uint64_t>();
        const auto entries = value<uint64_t>();
        check_count(entries, least_entry, "metadata entries");
        check_count(tensor_count_, least_tensor, "tensors");
        if (tensor_count_ > max_tensors)
            problem("more than %llu tensors", static_cast<unsigned long long>(max_tensors));
        add_values(entries);
        return entries;
    }

    void add_values(uint64_t count) {
        values_ += count;
        if (count > Json::max_values || values_ > Json::max_values)
            problem("more than %zu metadata values", Json::max_values);
    }

    void entry(uint64_t index) {
        where_ = words("metadata entry %llu: ", static_cast<unsigned long long>(index));
        const std::string_view key = name();
        where_ = words("key %s: ", shown(key).c_str());
        metadata_.text(key);
        packed(value_type(), 0);
    }

    // By their numbers in the file: as what each is packed, and the fewest bytes it takes there.
    struct ValueType {
        Tag tag;
        size_t least;
    };

    ValueType value_type() {
        static constexpr ValueType types[] = {
            {Tag::u8, 1},  {Tag::i8, 1},  {Tag::u16, 2},     {Tag::i16, 2},    {Tag::u32, 4},
            {Tag::i32, 4}, {Tag::f32, 4}, {Tag::boolean, 1}, {Tag::string, 8}, {Tag::array, 12},
            {Tag::u64, 8}, {Tag::i64, 8}, {Tag::f64, 8},
        };
        const auto type = value<uint32_t>();
        if (type >= std::size(types))
            problem("value type %u is unknown", type);
        return types[type];
    }

    // The value here, into the metadata.
    void packed(const ValueType & type, int depth) {
        if (type.tag == Tag::array)
            return array(depth);
        if (type.tag == Tag::string)
            return metadata_.string(text());
        metadata_.tag(type.tag);
        numbers(type, 1);
    }

    // Their bytes, as they are in the file.
    void numbers(const ValueType & type, uint64_t count) {
        const std::string_view bytes(reinterpret_cast<const char *>(take(count * type.least)),
                                     static_cast<size_t>(count * type.least));
        if (type.tag == Tag::boolean)
            for (const char byte : bytes)
                if (byte != 0 && byte != 1)
                    problem("a boolean is %d", int{static_cast<uint8_t>(byte)});
        metadata_.bytes += bytes;
    }

    void array(int depth) {
        if (depth >= Json::max_depth)
            problem("arrays nested over %d deep", Json::max_depth);
        const ValueType type = value_type();
        const auto count = value<uint64_t>();
        check_count(count, type.least, "array elements");
        add_values(count);
        const bool plain = type.tag != Tag::array && type.tag != Tag::string;
        const size_t inside = metadata_.open(plain ? Tag::numbers : Tag::array);
        if (plain) {
            metadata_.tag(type.tag);
            numbers(type, count);
        } else {
            for (uint64_t i = 0; i < count; ++i)
                packed(type, depth + 1);
        }
        metadata_.close(inside);
    }

    size_t read_alignment() const {
        const std::optional<Json> stated = file_.metadata.find("general.alignment");
        if (!stated)
            return 32;
        const int64_t value = stated->integer(file_.path + ": general.alignment");
        if (value < 8 || value > int64_t{max_alignment} || (value & (value - 1)) != 0)
            problem("general.alignment: %lld is not a power of two from 8 to %llu",
                    static_cast<long long>(value), static_cast<unsigned long long>(max_alignment));
        return static_cast<size_t>(value);
    }

    void tensor(uint64_t index, size_t alignment) {
        where_ = words("tensor %llu: ", static_cast<unsigned long long>(index));
        TensorInfo info;
        info.name = name();
        where_ = words("tensor %s: ", shown(info.name).c_str());
        const auto rank = value<uint32_t>();
        if (rank > GGML_MAX_DIMS)
            problem("%u dimensions; at most %d can be", rank, GGML_MAX_DIMS);
        info.shape.resize(rank);
        for (uint32_t i = 0; i < rank; ++i) {
            const auto dimension = value<uint64_t>();
            if (dimension == 0 || dimension > static_cast<uint64_t>(INT64_MAX))
                problem("dimension %u is %llu", i, static_cast<unsigned long long>(dimension));
            info.shape[rank - 1 - i] = static_cast<int64_t>(dimension);
        }
        type_and_size(info);
        const auto offset = value<uint64_t>();
        if (offset % alignment != 0)
            problem("offset %llu is not a multiple of the alignment, %zu",
                    static_cast<unsigned long long>(offset), alignment);
        offsets_.push_back(offset);
        file_.tensors.push_back(std::move(info));
    }

    void type_and_size(TensorInfo & info) {
        const auto type = value<uint32_t>();
        // ggml looks its tables up unchecked; types it has dropped have no block size.
        if (type >= GGML_TYPE_COUNT || ggml_blck_size(static_cast<ggml_type>(type)) <= 0 ||
            ggml_type_size(static_cast<ggml_type>(type)) == 0) {
            problem("type %u is unknown", type);
        }
        info.type = static_cast<ggml_type>(type);
        info.dtype = ggml_type_name(info.type);
        const int64_t row = info.shape.empty() ? 1 : info.shape.back();
        const int64_t block = ggml_blck_size(info.type);
        if (row % block != 0)
            problem("rows of %lld values are not whole blocks of %s, which are %lld",
                    static_cast<long long>(row), info.dtype, static_cast<long long>(block));
        uint64_t elements = 0;
        if (!count_elements(info.shape, elements))
            problem("more elements than 63 bits count");
        const uint64_t blocks = elements / static_cast<uint64_t>(block);
        const size_t block_size = ggml_type_size(info.type); // bytes
        if (blocks > size_ / block_size)
            problem("is larger than the file: %llu values of %s",
                    static_cast<unsigned long long>(elements), info.dtype);
        info.size = static_cast<size_t>(blocks) * block_size;
    }

    // The data begins at the next aligned byte after the table. Holes and a tail are allowed.
    void place(size_t alignment) {
        const size_t begin = round_up(at_, alignment); // at_ <= max_header
        for (size_t i = 0; i < file_.tensors.size(); ++i) {
            TensorInfo & info = file_.tensors[i];
            const size_t room = begin < size_ ? size_ - begin : 0;
            if (offsets_[i] > room || info.size > room - static_cast<size_t>(offsets_[i]))
                problem("tensor %s: %zu bytes at offset %llu of %zu bytes of data; the file is not "
                        "complete",
                        shown(info.name).c_str(), info.size,
                        static_cast<unsigned long long>(offsets_[i]), room);
            info.data = data_ + begin + static_cast<size_t>(offsets_[i]);
        }
    }

    // ComfyUI-GGUF reshapes what its quantisation cannot take, and keeps the shape in the metadata.
    void restore_shapes() {
        const std::string prefix = "comfy.gguf.orig_shape.";
        std::map<std::string_view, Json> stated;
        for (const auto & [key, value] : file_.metadata.object(""))
            if (key.substr(0, prefix.size()) == prefix)
                stated[key.substr(prefix.size())] = value;
        for (TensorInfo & info : file_.tensors) {
            const auto found = stated.find(info.name);
            if (found == stated.end())
                continue;
            const std::string what = file_.path + ": " + shown(prefix + info.name);
            std::vector<int64_t> shape;
            for (const Json & n : found->second.array(what)) {
                if (shape.size() > max_rank)
                    break;
                shape.push_back(std::max<int64_t>(0, n.integer(what)));
            }
            uint64_t elements = 0;
            if (shape.size() > max_rank || !count_elements(shape, elements) ||
                elements != static_cast<uint64_t>(info.elements()))
                fail(LTX2_STATUS_MODEL, "%s: does not hold the tensor's %lld values", what.c_str(),
                     static_cast<long long>(info.elements()));
            info.shape = std::move(shape);
        }
    }

    const uint8_t * data_;
    size_t size_;
    size_t at_ = 0;
    uint64_t tensor_count_ = 0;
    uint64_t values_ = 0;
    Packer metadata_;
    std::vector<uint64_t> offsets_;
    std::string where_; // what is being read, for messages
    TensorFile file_;
};

} // namespace

TensorFile read_gguf(const uint8_t * data, size_t size, const std::string & path) {
    return Reader(data, size, path).read();
}

} // namespace ltx2
