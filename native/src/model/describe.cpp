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
        const std::string_view text = value.string("");
        size_t end = most_bytes;
        while (end && (static_cast<uint8_t>(text[end]) & 0xC0) == 0x80) // within a character
            --end;
        return Json::Object{{"begins", text.substr(0, end)}, {"length", text.size()}};
    }
    if (value.kind() != Json::Kind::array)
        return value;
    const Json::Array all = value.array("");
    const size_t length = all.size();
    Json::Array first;
    for (const Json & item : all) {
        if (first.size() == most_values)
            break;
        first.push_back(shortened(item));
    }
    if (length <= most_values)
        return first;
    return Json::Object{{"begins", first}, {"length", length}};
}

namespace {
struct Sum {
    int64_t tensors = 0, elements = 0, bytes = 0;

    void add(const TensorInfo & tensor) {
        tensors += 1;
        elements += tensor.elements();
        bytes += static_cast<int64_t>(tensor.size);
    }
    void put(Json::Object & out) const {
        out.add("tensors", tensors);
        out.add("parameters", elements);
        out.add("bytes", bytes);
    }
};
} // namespace

Json describe(const TensorFile & file) {
    Json::Array parts, tensors;
    const Contents contents = recognise({&file});
    for (const Found & found : contents.parts)
        parts.push_back(row_of(*found.row));
    Json::Object metadata, types;
    for (const auto & [key, value] : file.metadata.object(file.path + ": metadata"))
        metadata.add(key, shortened(value));
    std::map<std::string, Sum> by_type;
    Sum all;
    for (const TensorInfo & tensor : file.tensors) {
        all.add(tensor);
        by_type[tensor.dtype].add(tensor);
        const Json::Array shape(tensor.shape.begin(), tensor.shape.end());
        tensors.push_back(
            Json::Object{{"name", tensor.name}, {"type", tensor.dtype}, {"shape", shape}});
    }
    for (const auto & [type, sum] : by_type) {
        Json::Object entry;
        sum.put(entry);
        types.add(type, entry);
    }
    Json::Object out{{"file", file.path},
                     {"format", file.format},
                     {"parts", parts},
                     {"problem", contents.problem.empty() ? Json() : contents.problem}};
    all.put(out);
    out.add("types", types);
    out.add("metadata", metadata);
    out.add("tensor_list", tensors);
    return out;
}

} // namespace ltx2
