#include "graph/device.h"

#include "base/limits.h"
#include "kernels/variant.h"

#include <algorithm>
#include <cstdlib>

namespace ltx2 {

std::vector<std::string> Device::names() {
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
    if (name.empty()) {
        ggml_backend_dev_t gpu = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_GPU);
        if (!gpu)
            gpu = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_IGPU);
        return gpu ? gpu : ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    }
    const std::vector<std::string> names = Device::names();
    if (std::find(names.begin(), names.end(), name) != names.end())
        return ggml_backend_dev_by_name(name.c_str());
    fail(LTX2_STATUS_DEVICE, "device: there is no %s; present are %s", name.c_str(),
         joined(names).c_str());
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

Device::Device(const std::string & name, int threads)
    : threads_(threads > 0 ? threads : usable_cores()), exact_(is_set("LTX2_EXACT")) {
    check_processor();
    choose_kernels(std::getenv("LTX2_ISA"));
    ggml_backend_dev_t chosen = find_device(name);
    ggml_backend_dev_t host = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    if (!host || !chosen)
        fail(LTX2_STATUS_DEVICE, "device: this build has no CPU backend");
    start_cpu();
    if (chosen != host)
        gpu_.reset(ggml_backend_dev_init(chosen, nullptr));
    if (chosen != host && !gpu_)
        fail(LTX2_STATUS_DEVICE, "device: %s does not start", ggml_backend_dev_name(chosen));
    ops_ = gpu_ ? &ggml_gpu_ops : is_set("LTX2_PLAIN_OPS") ? &ggml_cpu_ops : &cpu_ops;
}

void Device::start_cpu() {
    ggml_backend_dev_t host = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    cpu_.reset(ggml_backend_dev_init(host, nullptr));
    if (!cpu_)
        fail(LTX2_STATUS_DEVICE, "device: the CPU does not start");
    ggml_backend_cpu_set_n_threads(cpu_.get(), threads_);
}

size_t Device::memory() const {
    size_t free = 0, total = 0;
    ggml_backend_dev_memory(ggml_backend_get_device(backend()), &free, &total);
    return shares_memory() ? std::min<uint64_t>(total, usable_memory()) : total;
}

void Device::trim() {
    scratch_.release();
    scheduler_.reset();
    ggml_backend_cpu_set_threadpool(cpu_.get(), nullptr);
    pool_.reset();
}

// std::bad_alloc comes before a graph's first node: the threads are asleep, and can go.
void Device::replace_cpu() {
    trim();
    abandon(cpu_);
    start_cpu();
}

ggml_backend_sched_t Device::scheduler() {
    if (!pool_) {
        pool_ = make_pool(threads_);
        ggml_backend_cpu_set_threadpool(cpu_.get(), pool_.get());
    }
    if (!scheduler_)
        scheduler_ = make_scheduler(gpu_.get(), cpu_.get(), max_nodes);
    return scheduler_.get();
}

Kept Device::keep(ggml_type type, Shape ne) const {
    Kept kept;
    kept.context_ = make_context(1);
    kept.tensor = ggml_new_tensor(kept.context_.get(), type, 4, ne.data());
    const size_t size = ggml_nbytes(kept.tensor);
    ggml_backend_buffer_type_t kind = ggml_backend_get_default_buffer_type(backend());
    kept.buffer_.reset(
        ggml_backend_buft_alloc_buffer(kind, ggml_backend_buft_get_alloc_size(kind, kept.tensor)));
    if (!kept.buffer_)
        fail(LTX2_STATUS_OUT_OF_MEMORY, "memory: %zu MiB of activations do not fit", size >> 20);
    ggml_backend_buffer_clear(kept.buffer_.get(), 0);
    ggml_backend_tensor_alloc(kept.buffer_.get(), kept.tensor,
                              ggml_backend_buffer_get_base(kept.buffer_.get()));
    return kept;
}

} // namespace ltx2
