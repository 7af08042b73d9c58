#include "files/tensor_file.h"

#include "base/utf8.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <tuple>

namespace ltx2 {

int64_t TensorInfo::elements() const {
    return std::accumulate(shape.begin(), shape.end(), int64_t{1},
                           [](int64_t a, int64_t b) { return a * b; });
}

const TensorInfo * TensorFile::find(std::string_view name) const {
    const auto before = [&](uint32_t i, std::string_view wanted) {
        return tensors[i].name < wanted;
    };
    const auto at = std::lower_bound(by_name.begin(), by_name.end(), name, before);
    return at != by_name.end() && tensors[*at].name == name ? &tensors[*at] : nullptr;
}

void index_by_name(TensorFile & file) {
    const std::vector<TensorInfo> & tensors = file.tensors;
    file.by_name.resize(tensors.size());
    std::iota(file.by_name.begin(), file.by_name.end(), 0);
    std::sort(file.by_name.begin(), file.by_name.end(),
              [&](uint32_t a, uint32_t b) { return tensors[a].name < tensors[b].name; });
    const auto same = [&](uint32_t a, uint32_t b) { return tensors[a].name == tensors[b].name; };
    const auto twice = std::adjacent_find(file.by_name.begin(), file.by_name.end(), same);
    if (twice != file.by_name.end())
        fail(LTX2_STATUS_MODEL, "%s: tensor %s occurs twice", file.path.c_str(),
             shown(tensors[*twice].name).c_str());
}

std::vector<const TensorInfo *> sorted_by_place(const TensorFile & file) {
    std::vector<const TensorInfo *> sorted;
    sorted.reserve(file.tensors.size());
    for (const TensorInfo & tensor : file.tensors)
        sorted.push_back(&tensor);
    std::sort(sorted.begin(), sorted.end(), [](const TensorInfo * a, const TensorInfo * b) {
        return std::tie(a->data, a->size) < std::tie(b->data, b->size);
    });
    const TensorInfo * last = nullptr; // that has any bytes
    for (const TensorInfo * tensor : sorted) {
        if (tensor->size == 0)
            continue;
        if (last && static_cast<size_t>(tensor->data - last->data) < last->size)
            fail(LTX2_STATUS_MODEL, "%s: tensors %s and %s overlap", file.path.c_str(),
                 shown(last->name).c_str(), shown(tensor->name).c_str());
        last = tensor;
    }
    return sorted;
}

bool count_elements(const std::vector<int64_t> & shape, uint64_t & out) {
    // A zero makes the product zero, whatever the other dimensions: they must not overflow either.
    const bool empty = std::find(shape.begin(), shape.end(), 0) != shape.end();
    out = 1;
    for (const int64_t dimension : shape) {
        const auto factor = static_cast<uint64_t>(dimension == 0 ? 1 : dimension);
        if (factor > static_cast<uint64_t>(INT64_MAX) / out)
            return false;
        out *= factor;
    }
    out = empty ? 0 : out;
    return true;
}

TensorFile read_tensor_file(const uint8_t * data, size_t size, const std::string & path) {
    const std::string_view text(reinterpret_cast<const char *>(data), size);
    if (text.substr(0, 4) == "GGUF")
        return read_gguf(data, size, path);
    if (size > 8 && text[8] == '{')
        return read_safetensors(data, size, path);
    const std::string start = shown(text.substr(0, 12));
    const bool pointer = text.substr(0, 20) == "version https://git-";
    fail(LTX2_STATUS_MODEL, "%s: neither GGUF nor safetensors; it begins with %s%s", path.c_str(),
         start.c_str(), pointer ? ", a git-lfs pointer: fetch the file itself" : "");
}

static TensorFile read_mapped(const std::string & path,
                              TensorFile (*reader)(const uint8_t *, size_t, const std::string &)) {
    auto mapping = std::make_shared<Mapping>(path);
    TensorFile file =
        while_unchanged(*mapping, [&] { return reader(mapping->data(), mapping->size(), path); });
    file.mapping = std::move(mapping);
    return file;
}

TensorFile read_gguf(const std::string & path) { return read_mapped(path, read_gguf); }
TensorFile read_safetensors(const std::string & path) {
    return read_mapped(path, read_safetensors);
}
TensorFile read_tensor_file(const std::string & path) {
    return read_mapped(path, read_tensor_file);
}

} // namespace ltx2
