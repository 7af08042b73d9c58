// Which layers' mapped weights are in memory while a component computes layer by layer: the next
// layer is read ahead, and those that have computed are given back.
#pragma once

#include "base/limits.h"
#include "files/read_ahead.h"
#include "graph/tally.h"

#include <vector>

namespace ltx2 {

// How much of a component's weights is in memory while it computes.
struct Residency {
    bool all = true; // every one, from loading on
    // Bytes that the process may take, pages in the system's cache of files counted: those of
    // layers that do not fit leave it too. no_limit: the cache is the system's to manage.
    uint64_t limit = no_limit;

    // Of a limit, what is left to what this library does not count: the program itself, its other
    // files in the cache, the system's tables.
    static constexpr uint64_t reserve = uint64_t{384} << 20;

    bool counts_cache() const { return limit != no_limit; }
};

// Layers compute in the same order again and again. A cache that drops what was used longest ago
// would hold none of them when it is needed; so the first ones stay: as many as fit into `limit`
// beside `held` bytes of values, the layer that computes and the one that is read.
size_t layers_that_stay(const std::vector<FileParts> & layers, uint64_t held, uint64_t limit);

class Streaming {
public:
    // The mapped parts of each layer, in the order that they compute in.
    std::vector<FileParts> layers;

    // Before layer `i` computes. `give_back`: what has computed leaves the process, which costs
    // mapping it once more if it computes again; with a limit that happens to whatever does not
    // fit.
    void use(size_t i, bool give_back, const Residency & residency, ReadAhead & reader);
    // The same where a device counts: what is in the process is mapped.
    void count(size_t i, bool give_back, const Residency & residency, Tally & tally);
    uint64_t size() const; // bytes of all layers

private:
    ReadAhead::Let turn(bool give_back, const Residency & residency, uint64_t held);

    static constexpr size_t none = SIZE_MAX;
    size_t used_ = none; // the layer that computed last
    size_t stay_ = none; // with a limit: so many layers, the first ones, stay
    std::vector<Counted> counted_;
};

} // namespace ltx2
