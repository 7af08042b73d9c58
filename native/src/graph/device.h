// Which backend computes. One per session: it owns what runs graphs, with its compute memory, and,
// in tests, the function that sees intermediate values.
#pragma once

#include "graph/gpu_runner.h"
#include "graph/ops.h"
#include "graph/streaming.h"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace ltx2 {

// A tensor that outlives the graphs that read and write it.
class Kept {
public:
    Tensor tensor = nullptr;

private:
    friend class Device;
    ContextPtr context_;
    Buffer buffer_;
};

class Device {
public:
    static std::vector<std::string> names();
    static uint64_t memory_of(const std::string & name); // bytes in all; 0: unknown
    static std::vector<std::string> instruction_sets();  // of kernels that run here, the best last

    // `name` is one of names(). `threads` 0: one per core of the process. DEVICE.
    //
    // The environment is read here and nowhere else: LTX2_PLAIN_OPS=1 uses ggml's operations on
    // the CPU and on CUDA as well, LTX2_EXACT=1 makes all arithmetic F32, LTX2_ISA names a variant
    // of the kernels.
    Device(const std::string & name, int threads);

    const Ops & ops() const { return tally_ ? counted_ops : *ops_; }
    const Ops & computing() const { return *ops_; } // those that compute, also while it counts
    int threads() const { return cpu_.threads(); }
    ggml_backend_dev_t ggml() const { return chosen_; }
    // What it left to the CPU so far, as messages name it.
    std::vector<std::string> lacks() const {
        return gpu_ ? gpu_->lacks() : std::vector<std::string>();
    }
    size_t memory() const; // bytes of the device in all that are for this process; 0: unknown
    // How many bytes of frames a layer takes at once: on the CPU, as many as its second cache
    // holds well; a GPU wants many values in each operation.
    size_t window() const;
    // Whether that is the program's own memory: files are then mapped, not copied.
    bool shares_memory() const { return !gpu_; }

    // Gives the values of a graph their memory. OUT_OF_MEMORY.
    void allocate(ggml_cgraph * graph);
    // Computes what has been allocated; between two nodes on the CPU it asks `progress` whether to
    // stop. OUT_OF_MEMORY. A GPU that is not waited for may still compute afterwards, until values
    // are written or read, or another graph is waited for: nothing that it uses may be freed
    // before.
    ggml_status compute(ggml_cgraph * graph, const Progress & progress, bool waits = true);
    void settle() const;
    // Compute memory, the kernels' memory, and the threads are kept for the next graph until then.
    void trim();
    Workers workers() { return {threads(), scratch_}; }
    CpuRunner & cpu() { return cpu_; }

    // Zeroed, or, where the memory of `reuse` is large enough, in that, as it is. OUT_OF_MEMORY.
    Kept keep(ggml_type type, Shape ne, Kept reuse = {}) const;
    Buffer weights_buffer(size_t size) const; // OUT_OF_MEMORY
    // `bytes` of a tensor in the device's memory, from `offset` on. DEVICE.
    void write(Tensor kept, const void * values, size_t bytes, size_t offset = 0) const;
    void read(Tensor kept, float * values) const;   // F32; while it counts: ones
    void fetch(Tensor tensor, void * values) const; // all of it, in its own type

    // While this lives, the device counts and computes nothing. What is made meanwhile (weights,
    // kept tensors) must go before.
    struct Counting {
        Device & device;
        Counting(Device & device, Tally & tally);
        ~Counting();
    };
    Tally * tally() const { return tally_; } // null: it computes
    // Memory of the program itself that a run holds meanwhile.
    Counted hold(size_t bytes) const { return tally_ ? counted(tally_->kept, bytes) : Counted(); }
    // A graph, in place of allocating and computing it.
    void count(ggml_cgraph * graph);

    Residency residency;
    ReadAhead & reader() { return reader_; } // its thread ends with trim()

    // Whether all arithmetic is F32, for comparing implementations: activations are not rounded.
    // Only operations ask.
    bool exact() const { return exact_; }
    // Whether every matrix is loaded as F32 for that, up to eight times the memory.
    bool widens_weights() const { return exact_ && ops_->rounds_to_weights; }

    // Of values that are kept to be read again and again: half as large as they are.
    ggml_type kept_type() const { return exact_ ? GGML_TYPE_F32 : GGML_TYPE_F16; }

    // For tests: is called with every tapped value, F32, contiguous, in ggml order.
    using TapFn = std::function<void(const std::string & name, Shape ne, const float * data)>;
    TapFn tap;

private:
    // What a GPU may fail in.
    template <class Body>
    auto on_device(Body && body) const {
        if (!gpu_)
            return body();
        gpu_->settle();
        return gpu_->call(body);
    }

    ggml_backend_dev_t chosen_ = nullptr;
    CpuRunner cpu_;
    mutable std::optional<GpuRunner> gpu_;
    Scratch scratch_;
    ReadAhead reader_;
    const Ops * ops_ = nullptr;
    bool exact_ = false;
    Tally * tally_ = nullptr;
};

} // namespace ltx2
