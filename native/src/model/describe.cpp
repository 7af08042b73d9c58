#include "model/describe.h"

#include "base/utf8.h"
#include "model/recognise.h"

namespace ltx2 {

static Json row_of(const PartRow & row) {
    static const char * const needs[] = {"always", "optional", "extends", "never"}; // as in Need
    return Json::Object{
        {"id", row.id}, {"title", row.title}, {"need", needs[static_cast<int>(row.need)]}};
}

Json part_table() {
    Json::Array rows;
    for (const PartRow & row : part_rows())
        rows.push_back(row_of(row));
    return rows;
}

// A vocabulary has 262144 entries, a chat template some thousand letters.
static Json shortened(const Json & value) {
    const size_t most_bytes = 60, most_values = 6;
    if (value.kind() == Json::Kind::string && value.string("").size() > most_bytes) {
        const std::string & text = value.string("");
        size_t end = most_bytes;
        while (end && (static_cast<uint8_t>(text[end]) & 0xC0) == 0x80) // within a character
            --end;
        return Json::Object{{"begins", text.substr(0, end)}, {"length", text.size()}};
    }
    if (value.kind() != Json::Kind::array)
        return value;
    const Json::Array & all = value.array("");
    Json::Array first;
    for (size_t i = 0; i < all.size() && i < most_values; ++i)
        first.push_back(shortened(all[i]));
    if (all.size() <= most_values)
        return first;
    return Json::Object{{"begins", std::move(first)}, {"length", all.size()}};
}

namespace {
struct Sum {
    int64_t tensors = 0, elements = 0, bytes = 0;

    void add(const TensorInfo & tensor) {
        tensors += 1;
        elements += tensor.elements();
        bytes += static_cast<int64_t>(tensor.size);
    }
    void put(Json & out) const {
        out.set("tensors", tensors);
        out.set("parameters", elements);
        out.set("bytes", bytes);
    }
};
} // namespace

Json describe(const TensorFile & file) {
    Json::Array parts, tensors;
    const Contents contents = recognise({&file});
    for (const Found & found : contents.parts)
        parts.push_back(row_of(*found.row));
    Json metadata{Json::Object()}, types{Json::Object()};
    for (const auto & [key, value] : file.metadata.object(file.path + ": metadata"))
        metadata.set(key, shortened(value));
    std::map<std::string, Sum> by_type;
    Sum all;
    for (const TensorInfo & tensor : file.tensors) {
        all.add(tensor);
        by_type[tensor.dtype].add(tensor);
        Json::Array shape(tensor.shape.begin(), tensor.shape.end());
        tensors.push_back(Json::Object{
            {"name", tensor.name}, {"type", tensor.dtype}, {"shape", std::move(shape)}});
    }
    for (const auto & [type, sum] : by_type) {
        Json entry;
        sum.put(entry);
        types.set(type, std::move(entry));
    }
    Json out = Json::Object{{"file", file.path},
                            {"format", file.format},
                            {"parts", std::move(parts)},
                            {"problem", contents.problem.empty() ? Json() : contents.problem}};
    all.put(out);
    out.set("types", std::move(types));
    out.set("metadata", std::move(metadata));
    out.set("tensor_list", std::move(tensors));
    return out;
}

} // namespace ltx2
