// What a run takes, counted instead of taken. A device that has a tally builds every graph and
// computes none, so that a plan is the run itself, and stays true when the run changes.
#pragma once

#include "kernels/calls.h"

#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

namespace ltx2 {

// A kind of work, of which a machine does so much in a second.
struct Work {
    enum Kind {
        unpack,   // values of a matrix, each time it meets activations
        multiply, // a value of a matrix and one of the activations
        attend,   // a value of a query and one of a key
        convolve, // a weight and a value
        move,     // a byte from memory or to it
        start     // a node of a graph, made and given to the threads
    };
    Kind kind = move;
    int type = 0;   // unpack, multiply, convolve: ggml_type of the weights
    int detail = 0; // unpack, multiply: Activations; attend: whether in BF16; convolve: the kernel

    std::string name() const; // "multiply q4_0 8-bit": what it is called in a plan
    bool operator<(const Work & other) const {
        return std::tie(kind, type, detail) < std::tie(other.kind, other.type, other.detail);
    }
};

// So many bytes of a count, until it goes.
struct GiveBack {
    size_t bytes = 0;
    void operator()(size_t * count) const { *count -= bytes; }
};
using Counted = std::unique_ptr<size_t, GiveBack>;

struct Tally {
    struct Stage {
        std::string name;  // as progress reports it
        size_t mapped = 0; // bytes of weights, the most at once
        // Bytes of other weights and of everything else, when they were the most together.
        size_t copied = 0, activations = 0;
        std::map<Work, double> work; // amounts
        size_t own() const { return copied + activations; }
    };
    std::vector<Stage> stages;

    // Now, in bytes: weights, tensors that outlive a graph, and what graphs leave for the next one.
    size_t mapped = 0, copied = 0, kept = 0, values = 0, scratch = 0;
    double times = 1; // what is counted happens so many times

    void begin(const char * stage); // "load" belongs to the one that comes next
    // A graph runs now, whose values take so many bytes.
    void use(size_t bytes, size_t scratch_bytes);
    void add(const Work & work, double amount);
    size_t held() const { return copied + kept + values + scratch; } // now, but for what is mapped
    size_t own() const; // the same, the most at once of all stages
};

inline Counted counted(size_t & count, size_t bytes) {
    count += bytes;
    return Counted(&count, GiveBack{bytes});
}

} // namespace ltx2
