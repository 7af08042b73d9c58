// Files -> named tensors on a device, seen through `Weights`. A component's constructor asks for
// its tensors by the checkpoint's names, which checks each against what the architecture expects;
// `Store::load` then maps them (CPU) or copies them (GPU), once, for as long as the Store lives.
#pragma once

#include "base/progress.h"
#include "files/tensor_file.h"
#include "graph/device.h"

#include <map>
#include <vector>

namespace ltx2 {

// Where a tensor's bytes are. `added` goes onto every value: Hugging Face stores Gemma's norms
// without the 1 that GGUF holds inside.
struct Source {
    const TensorInfo * info = nullptr;
    std::shared_ptr<Mapping> mapping;
    std::string path;
    float added = 0;
};
using Index = std::map<std::string, Source, std::less<>>; // by the reference's names

// MODEL that names the tensor where its type holds no weights or its rows no whole blocks.
void check_type(const Source & source, const std::string & name, int64_t row);
// `count` values from value `first` (at a block's start) as F32; the type was checked.
void read_values(const Source & source, int64_t first, int64_t count, float * out);

// What a tensor is loaded as.
enum class As {
    matrix, // as the file has it: any type that multiplies
    f32,    // converted: norms, biases, tables
    taps    // a convolution [O, I, kt, kh, kw], as ggml [I, O, kt*kh*kw]: one matrix a tap
};

class Store;

// A place in the tree of names. Cheap to copy; valid while its Store lives.
class Weights {
public:
    Weights(Store & store, std::string prefix) : store_(&store), prefix_(std::move(prefix)) {}
    Weights operator/(const std::string & name) const;
    Weights operator/(int index) const { return *this / std::to_string(index); }
    bool has(const std::string & name) const;
    // The tensor `prefix.name` of exactly this ggml shape (trailing ones left out), or MODEL that
    // names it. For `taps` ne is {I, O, kw, kh, kt} reduced to {I, O, taps}.
    Tensor operator()(const std::string & name, std::vector<int64_t> ne, As as) const;
    // The shape as the file has it, outermost first: for the few sizes no config states.
    std::vector<int64_t> shape(const std::string & name) const;

private:
    Store * store_;
    std::string prefix_;
};

class Store {
public:
    Store(Device & device, const Index & index);
    ~Store();
    Store(const Store &) = delete;
    Store & operator=(const Store &) = delete;

    Weights root(const std::string & prefix = "") { return Weights(*this, prefix); }
    // Reports stage "load". Errors: OUT_OF_MEMORY, CANCELLED.
    void load(const Progress & progress);

private:
    friend class Weights;
    struct Wanted {
        Tensor tensor;
        const Source * source;
        As as;
        bool mapped;
    };
    const Source * find(const std::string & name) const;
    Tensor want(const std::string & name, const std::vector<int64_t> & ne, As as);
    bool can_map(const Source & source, As as) const;
    void map_tensors();
    void copy_tensors(const Progress & progress);

    Device & device_;
    const Index & index_;
    std::vector<ContextPtr> contexts_;
    size_t context_used_ = 0;
    std::map<std::string, size_t> by_name_;
    std::vector<Wanted> wanted_;
    std::vector<BufferPtr> buffers_;
    std::map<const Mapping *, ggml_backend_buffer_t> maps_;
};

} // namespace ltx2
