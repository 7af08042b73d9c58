#include "graph/streaming.h"

#include "base/pages.h"

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

uint64_t Streaming::size() const {
    uint64_t size = 0;
    for (const FileParts & parts : layers)
        size += size_of(parts);
    return size;
}

// What happens to the layer that computed last, before the next one does.
ReadAhead::Let Streaming::turn(bool give_back, const Residency & residency, uint64_t held) {
    if (used_ == none)
        return ReadAhead::Let::stay;
    if (!residency.counts_cache())
        return give_back ? ReadAhead::Let::release : ReadAhead::Let::stay;
    if (stay_ == none) // not before a layer has computed: now its values have their memory
        stay_ = layers_that_stay(layers, held, residency.limit);
    return used_ < stay_ ? ReadAhead::Let::stay : ReadAhead::Let::forget;
}

void Streaming::use(size_t i, bool give_back, const Residency & residency, ReadAhead & reader) {
    if (residency.all || i >= layers.size() || i == used_)
        return;
    const ReadAhead::Let let = turn(give_back, residency, pages_held());
    FileParts next = used_ == none ? layers[i] : FileParts();
    const FileParts & after = layers[(i + 1) % layers.size()];
    if (layers.size() > 1)
        next.insert(next.end(), after.begin(), after.end());
    reader.move(used_ == none ? FileParts() : layers[used_], let, next);
    used_ = i;
}

void Streaming::count(size_t i, bool give_back, const Residency & residency, Tally & tally) {
    if (residency.all || i >= layers.size() || i == used_)
        return;
    if (turn(give_back, residency, tally.held()) != ReadAhead::Let::stay)
        counted_[used_].reset();
    counted_.resize(layers.size());
    if (!counted_[i])
        counted_[i] = counted(tally.mapped, size_of(layers[i]));
    used_ = i;
}

} // namespace ltx2
