#include "model/fingerprint.h"

#include "base/error.h"

#include <algorithm>
#include <cmath>

namespace ltx2 {

namespace {
// FNV-1a, 64 bits.
class Hash {
public:
    void add(const void * data, size_t size) {
        const auto * bytes = static_cast<const uint8_t *>(data);
        for (size_t i = 0; i < size; ++i)
            value = (value ^ bytes[i]) * 0x100000001b3;
    }
    void add(std::string_view text) { // with an end, so that "a", "bc" is not "ab", "c"
        add(text.data(), text.size());
        add("\xff", 1);
    }
    uint64_t value = 0xcbf29ce484222325;
};
} // namespace

std::string fingerprint(const Part & part) {
    Hash hash;
    hash.add(part.architecture);
    hash.add(part.config.dump());
    std::vector<const TensorInfo *> matrices; // which training changes most surely
    for (const auto & [name, source] : part.tensors) {
        hash.add(name);
        hash.add(source.info->dtype);
        for (int64_t size : source.info->shape)
            hash.add(words("%lld", static_cast<long long>(size)));
        if (source.info->shape.size() > 1)
            matrices.push_back(source.info);
    }
    for (const auto & [path, added] : part.adapters)
        for (const LowRank & low : added) {
            hash.add(path);
            hash.add(words("%.9g", double{low.scale} * double{low.adapter->given}));
            matrices.insert(matrices.end(), {low.down.info, low.up.info});
        }
    // Each place may be a read from the disk. Even steps would meet the same few of every block.
    const size_t places = std::min<size_t>(matrices.size(), 64), most = 256;
    const double golden = 0.6180339887498949;
    for (size_t i = 0; i < places; ++i) {
        const double where = std::fmod(static_cast<double>(i) * golden, 1.0);
        const TensorInfo & tensor =
            *matrices[static_cast<size_t>(where * static_cast<double>(matrices.size()))];
        const size_t count = std::min(tensor.size, most);
        hash.add(tensor.data + (tensor.size - count) / 2, count);
    }
    return words("%016llx", static_cast<unsigned long long>(hash.value));
}

} // namespace ltx2
