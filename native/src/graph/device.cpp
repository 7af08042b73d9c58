#include "graph/device.h"

#include "base/limits.h"
#include "graph/driver.h"
#include "graph/memory_plan.h"
#include "kernels/variant.h"

#include <algorithm>
#include <cstdlib>

namespace ltx2 {

std::vector<std::string> Device::names() {
    check_processor(); // before ggml's first call, which fills tables
    std::vector<std::string> names;
    for (size_t i = 0; i < ggml_backend_dev_count(); ++i)
        if (ggml_backend_dev_type(ggml_backend_dev_get(i)) != GGML_BACKEND_DEVICE_TYPE_ACCEL)
            names.emplace_back(ggml_backend_dev_name(ggml_backend_dev_get(i)));
    return names;
}

std::vector<std::string> Device::instruction_sets() {
    std::vector<std::string> names;
    for (const kernels::Variant * variant : kernels::variants())
        names.emplace_back(variant->name);
    return names;
}

static std::string joined(const std::vector<std::string> & names) {
    std::string text;
    for (const std::string & name : names)
        text += (text.empty() ? "" : ", ") + name;
    return text;
}

static ggml_backend_dev_t find_device(const std::string & name) {
    const std::vector<std::string> names = Device::names();
    if (std::find(names.begin(), names.end(), name) != names.end())
        return ggml_backend_dev_by_name(name.c_str());
    fail(LTX2_STATUS_DEVICE, "device: there is no %s; present are %s", name.c_str(),
         joined(names).c_str());
}

uint64_t Device::memory_of(const std::string & name) {
    return ltx2::memory_of(find_device(name)).total;
}

static bool is_set(const char * variable) {
    const char * value = std::getenv(variable);
    return value && *value && *value != '0';
}

static void choose_kernels(const char * name) {
    if (!kernels::choose_variant(name))
        fail(LTX2_STATUS_DEVICE, "LTX2_ISA: %s does not run here; what does: %s", name,
             joined(Device::instruction_sets()).c_str());
}

static const Ops * ops_of(ggml_backend_dev_t gpu) {
#if defined(GGML_USE_CUDA)
    const std::string library = ggml_backend_reg_name(ggml_backend_dev_backend_reg(gpu));
    if (library == "CUDA")
        return is_set("LTX2_PLAIN_OPS") ? &ggml_cuda_ops : &cuda_ops;
#endif
    (void)gpu;
    return &ggml_gpu_ops;
}

Device::Device(const std::string & name, int threads)
    : cpu_(threads > 0 ? threads : usable_cores()), exact_(is_set("LTX2_EXACT")) {
    chosen_ = find_device(name);
    choose_kernels(std::getenv("LTX2_ISA"));
    ggml_cpu_init(); // its tables, which weights are converted by
    ggml_backend_dev_t host = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    if (!host || !chosen_)
        fail(LTX2_STATUS_DEVICE, "device: this build has no CPU backend");
    if (chosen_ != host)
        gpu_.emplace(chosen_);
    ops_ = gpu_ ? ops_of(chosen_) : is_set("LTX2_PLAIN_OPS") ? &ggml_cpu_ops : &cpu_ops;
}

size_t Device::memory() const {
    const size_t total = ltx2::memory_of(chosen_).total;
    return shares_memory() ? std::min<uint64_t>(total, usable_memory()) : total;
}

size_t Device::window() const {
    constexpr size_t least = size_t{16} << 20, most = size_t{512} << 20;
    if (!gpu_)
        return least;
    const size_t total = ltx2::memory_of(chosen_).total;
    // A layer's graph takes some ten times the window; no tensor may exceed what the device allows.
    const size_t largest = ggml_backend_buft_get_max_size(ggml_backend_dev_buffer_type(chosen_));
    return std::clamp(std::min(total / 64, largest / 8), least, most);
}

void Device::allocate(ggml_cgraph * graph) {
    if (gpu_)
        gpu_->allocate(graph);
    else
        cpu_.allocate(graph);
}

ggml_status Device::compute(ggml_cgraph * graph, const Progress & progress, bool waits) {
    return gpu_ ? gpu_->compute(graph, cpu_, progress, waits) : cpu_.compute(graph, progress);
}

void Device::settle() const {
    on_device([] {});
}

void Device::trim() {
    reader_.end();
    if (tally_)
        tally_->values = tally_->scratch = 0;
    scratch_.release();
    if (gpu_)
        gpu_->trim(); // first: it uses the threads
    cpu_.trim();
}

Buffer Device::weights_buffer(size_t size) const {
    if (tally_)
        return Buffer(tally_->copied, size);
    return on_device(
        [&] { return Buffer(ggml_backend_dev_buffer_type(chosen_), size, "weights"); });
}

Kept Device::keep(ggml_type type, Shape ne, Kept reuse) const {
    Kept kept;
    kept.context_ = make_context(1);
    kept.tensor = ggml_new_tensor(kept.context_.get(), type, 4, ne.data());
    ggml_backend_buffer_type_t kind = ggml_backend_dev_buffer_type(chosen_);
    const size_t size = ggml_backend_buft_get_alloc_size(kind, kept.tensor);
    if (reuse.buffer_ && reuse.buffer_.size() >= size) {
        kept.buffer_ = std::move(reuse.buffer_);
    } else {
        reuse = {}; // first, so that both never exist together
        const auto cleared = [&] {
            Buffer buffer(kind, size, "activations");
            ggml_backend_buffer_clear(buffer.get(), 0);
            return buffer;
        };
        kept.buffer_ = tally_ ? Buffer(tally_->kept, size) : on_device(cleared);
    }
    ggml_backend_tensor_alloc(kept.buffer_.get(), kept.tensor, kept.buffer_.data());
    return kept;
}

void Device::write(Tensor kept, const void * values, size_t bytes, size_t offset) const {
    if (!tally_)
        on_device([&] { ggml_backend_tensor_set(kept, values, offset, bytes); });
}

void Device::read(Tensor kept, float * values) const {
    if (tally_)
        std::fill_n(values, ggml_nelements(kept), 1.0f);
    else
        fetch(kept, values);
}

void Device::fetch(Tensor tensor, void * values) const {
    on_device([&] { ggml_backend_tensor_get(tensor, values, 0, ggml_nbytes(tensor)); });
}

Device::Counting::Counting(Device & device, Tally & tally) : device(device) {
    device.trim(); // what it had for computing would be counted too
    device.tally_ = &tally;
}

Device::Counting::~Counting() {
    device.trim();
    device.tally_ = nullptr;
}

// Operations of ggml itself move their values; ours have been counted when they were made.
void Device::count(ggml_cgraph * graph) {
    size_t work = 0;
    if (!gpu_)
        work = ggml_graph_plan(graph, threads(), nullptr).work_size;
    tally_->use(MemoryPlan(graph, Buffer::alignment).size, scratch_.size() + work);
    for (int i = 0; i < ggml_graph_n_nodes(graph); ++i) {
        const Tensor node = ggml_graph_node(graph, i);
        if (is_view(node))
            continue;
        tally_->add({Work::start}, 1);
        if (node->op != GGML_OP_CUSTOM)
            tally_->add({Work::move}, 2 * static_cast<double>(ggml_nbytes(node)));
    }
}

} // namespace ltx2
