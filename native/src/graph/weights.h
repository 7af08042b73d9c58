// A part's tensors on a device, seen through `Weights`. A component's constructor asks for them by
// the checkpoint's names, which checks each against what the architecture expects, before any is
// read; `Store::load` then maps them (CPU) or copies them (GPU), once, for as long as the Store
// lives.
#pragma once

#include "base/progress.h"
#include "graph/device.h"
#include "model/model.h"

#include <deque>
#include <map>
#include <vector>

namespace ltx2 {

// `count` values from value `first` (at a block's start) as F32; the type was checked.
void read_values(const Source & source, int64_t first, int64_t count, float * out);
// Lets the pages that hold these values go from the process, or from the system's cache too.
void release_values(const Source & source, int64_t first, int64_t count, bool forgets = false);

// What a tensor is loaded as.
enum class As {
    matrix, // as the file has it: any type that multiplies; its codes, where they are read
    f32,    // converted: norms, biases, tables
    taps    // a convolution [O, I, kt, kh, kw], as ggml [I, O, kt*kh*kw], in its operation's order
};

class Store;

// One of the adapters of a Linear, of which there are usually none.
struct Branch {
    Matrix down, up; // [in, rank], [rank, out]
    float scale;
    const Adapter * adapter;

    float strength() const { return adapter->strength * scale; } // 0: it adds nothing
};

// A place in a part's tree of names. Cheap to copy; valid while its Store and the Part live.
class Weights {
public:
    Weights(Store & store, const Part & part, std::string prefix = "")
        : store_(&store), part_(&part), prefix_(std::move(prefix)) {}
    Weights operator/(const std::string & name) const;
    Weights operator/(int index) const { return *this / std::to_string(index); }
    const Source * find(const std::string & name) const; // null where the part has none
    // Where `prefix.name` lies, or MODEL that names the file and what is missing in it.
    const Source & source(const std::string & name) const;
    // The tensor `prefix.name` of exactly this ggml shape (trailing ones left out), or MODEL that
    // names it. For `taps` ne is {I, O, kw, kh, kt} reduced to {I, O, taps}.
    Tensor operator()(const std::string & name, std::vector<int64_t> ne, As as) const;
    Matrix matrix(const std::string & name, int64_t k, int64_t n) const; // the same, to multiply
    // What adapters add to the matrix of this place.
    std::vector<Branch> branches(int64_t k, int64_t n) const;
    // The shape as the file has it, outermost first, of `sides` sides: for the few sizes that no
    // config states. MODEL.
    std::vector<int64_t> shape(const std::string & name, size_t sides) const;
    // What is asked for from now on belongs to the next of the layers that compute in a row.
    void begin_layer() const;
    // MODEL where the file has a `prefix.count` too: its config states fewer than it holds.
    void end(int64_t count) const;

private:
    Store * store_;
    const Part * part_;
    std::string prefix_;
};

class Store {
public:
    explicit Store(Device & device) : device_(device) {}
    ~Store();
    Store(const Store &) = delete;
    Store & operator=(const Store &) = delete;

    // Reports stage "load", or, within another one, nothing. Errors: OUT_OF_MEMORY, CANCELLED.
    void load(const Progress & progress, bool reports = true);
    void unload(); // as before load()
    bool is_loaded() const { return loaded_; }
    uint64_t size() const; // bytes of all weights
    // Before layer `i` computes; `rows` is how many rows its weights meet.
    void use_layer(size_t i, int64_t rows);

private:
    friend class Weights;
    struct Wanted {
        Tensor tensor;
        Source source; // of exactly the shape that is wanted
        As as;
        bool mapped;

        bool is_codes() const { return tensor->type == GGML_TYPE_I8; }
    };
    const Wanted & want(const Source & source, const std::string & name,
                        const std::vector<int64_t> & ne, As as);
    ggml_type type_of(const Source & source, As as) const;
    bool can_map(const Source & source, As as) const;
    void give_back(const Source & source) const;
    void map_tensors();
    void copy_tensors(const Progress & progress, bool reports);

    Device & device_;
    std::vector<ContextPtr> contexts_;
    size_t context_used_ = 0;
    std::map<const Source *, const Wanted *> known_;
    std::deque<Wanted> wanted_; // do not move
    std::vector<Buffer> buffers_;
    std::map<const Mapping *, BufferPtr> maps_;
    std::vector<size_t> layers_; // where in wanted_ each begins
    Streaming streaming_;
    bool loaded_ = false;
    Counted counted_; // of what is mapped, where the device counts: all but the layers
};

} // namespace ltx2
