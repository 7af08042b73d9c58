#include "model/describe.h"

#include "base/utf8.h"
#include "model/recognise.h"

#include <algorithm>
#include <cstdlib>

namespace ltx2 {

static Json::Object row_of(const PartRow & row) {
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

void TensorSum::add(const TensorInfo & tensor, int64_t parameters) {
    tensors_ += 1;
    parameters_ += parameters;
    bytes_ += static_cast<int64_t>(tensor.size);
}

void TensorSum::put(Json::Object & out) const {
    out.add("tensors", tensors_);
    out.add("parameters", parameters_);
    out.add("bytes", bytes_);
}

static Json::Object counts(const TensorSum & sum) {
    Json::Object out;
    sum.put(out);
    return out;
}

static int64_t number_of(std::string_view digits) { // which a file may have any number of
    return std::min(std::strtoll(std::string(digits).c_str(), nullptr, 10), 1LL << 20);
}

// What shapes and numbers of tensors tell: the table says which.
static Json geometry(const Found & found) {
    Json::Object out;
    for (const Measure & measure : found.row->measures) {
        int64_t size = 0;
        for (const auto & [name, source] : found.tensors) {
            std::string_view number;
            if (!matches(measure.tensor, name, &number))
                continue;
            const std::vector<int64_t> & shape = source.shape();
            if (measure.side < 0)
                size = std::max(size, number_of(number) + 1);
            else if (static_cast<size_t>(measure.side) < shape.size())
                size = shape[static_cast<size_t>(measure.side)];
        }
        if (size)
            out.add(measure.name, size);
    }
    return out;
}

namespace {
struct Use { // of a tensor
    const PartRow * row;
    int64_t parameters; // codes hold several in a byte, and those beside them none
};
} // namespace
using Uses = std::map<const TensorInfo *, Use>;

static Uses uses_of(const TensorFile & file, const std::vector<Found> & parts) {
    Uses uses;
    for (const Found & found : parts)
        for (const auto & [name, source] : found.tensors) {
            uses.insert({source.info, {found.row, source.elements()}});
            if (source.coding)
                for (const TensorInfo * other : source.coding->beside)
                    uses.insert({other, {found.row, 0}});
        }
    for (const TensorInfo & tensor : file.tensors)
        if (!uses.count(&tensor))
            uses[&tensor] = {unused_part(tensor), tensor.elements()};
    return uses;
}

static Json::Array parts_of(const Uses & uses, const std::vector<Found> & parts) {
    std::map<const PartRow *, TensorSum> sums;
    for (const auto & [tensor, use] : uses)
        sums[use.row].add(*tensor, use.parameters);
    Json::Array out;
    for (const Found & found : parts) {
        Json::Object row = row_of(*found.row);
        row.add("geometry", geometry(found));
        Json::Array fits;
        for (const Generation & generation : generations())
            if (generation.bit & found.generations)
                fits.push_back(generation.name);
        row.add("generations", fits);
        sums[found.row].put(row);
        out.push_back(row);
    }
    return out;
}

static Json license(const Json & metadata) {
    for (const char * key : {"license", "general.license"})
        if (const std::optional<Json> stated = metadata.find(key))
            return shortened(*stated);
    return {};
}

// Of each tensor, where the file states one for each.
static std::vector<Json> checksums(const TensorFile & file) {
    std::vector<Json> all;
    const std::optional<Json> stated = file.metadata.find(checksums_key);
    if (stated && stated->kind() == Json::Kind::array)
        for (const Json & sum : stated->array(""))
            all.push_back(sum);
    all.resize(file.tensors.size());
    return all;
}

static Json::Array tensor_list(const TensorFile & file) {
    Json::Array all;
    const std::vector<Json> sums = checksums(file);
    for (size_t i = 0; i < file.tensors.size(); ++i) {
        const TensorInfo & tensor = file.tensors[i];
        all.push_back(Json::Object{{"name", tensor.name},
                                   {"type", tensor.dtype},
                                   {"shape", Json::Array(tensor.shape.begin(), tensor.shape.end())},
                                   {"offset", tensor.data - file.data},
                                   {"bytes", tensor.size},
                                   {"sha256", sums[i]}});
    }
    return all;
}

Json describe(const TensorFile & file) {
    const Contents contents = recognise({&file});
    Json::Object metadata, types;
    for (const auto & [key, value] : file.metadata.object(file.path + ": metadata"))
        metadata.add(key, shortened(value));
    std::map<std::string, TensorSum> by_type;
    TensorSum all;
    const Uses uses = uses_of(file, contents.parts);
    for (const auto & [tensor, use] : uses) {
        all.add(*tensor, use.parameters);
        by_type[tensor->dtype].add(*tensor, use.parameters);
    }
    for (const auto & [type, sum] : by_type)
        types.add(type, counts(sum));
    Json::Object out{{"file", file.path},
                     {"format", file.format},
                     {"parts", parts_of(uses, contents.parts)},
                     {"problem", contents.problem.empty() ? Json() : contents.problem}};
    all.put(out);
    out.add("types", types);
    out.add("license", license(file.metadata));
    out.add("metadata", metadata);
    out.add("tensor_list", tensor_list(file));
    return out;
}

} // namespace ltx2
