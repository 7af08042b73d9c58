#include "graph/streaming.h"

#include "graph/ggml_guard.h"

#include <algorithm>

namespace ltx2 {

static uint64_t size_of(const FileParts & parts) {
    uint64_t size = 0;
    for (const FilePart & part : parts)
        size += part.size;
    return size;
}

size_t layers_that_stay(const std::vector<FileParts> & layers, uint64_t held, uint64_t limit) {
    uint64_t largest = 0;
    for (const FileParts & parts : layers)
        largest = std::max(largest, size_of(parts));
    uint64_t taken = held + Residency::reserve + 2 * largest;
    size_t count = 0;
    for (; count < layers.size() && taken + size_of(layers[count]) <= limit; ++count)
        taken += size_of(layers[count]);
    return count;
}

void Streaming::use(size_t i, bool give_back, const Residency & residency, ReadAhead & reader) {
    if (residency.all || i >= layers.size() || i == used_)
        return;
    // Not before a layer has computed: now its values have their memory.
    if (residency.counts_cache() && stay_ == none && used_ != none)
        stay_ = layers_that_stay(layers, Buffer::held(), residency.limit);
    ReadAhead::Let let = ReadAhead::Let::stay;
    if (used_ != none && residency.counts_cache())
        let = used_ < stay_ ? ReadAhead::Let::stay : ReadAhead::Let::forget;
    else if (used_ != none && give_back)
        let = ReadAhead::Let::release;
    FileParts next = used_ == none ? layers[i] : FileParts();
    const FileParts & after = layers[(i + 1) % layers.size()];
    if (layers.size() > 1)
        next.insert(next.end(), after.begin(), after.end());
    reader.move(used_ == none ? FileParts() : layers[used_], let, next);
    used_ = i;
}

} // namespace ltx2
