#include "graph/weights.h"

#include "base/finite.h"
#include "base/round.h"
#include "base/utf8.h"

#include <algorithm>
#include <cstring>

namespace ltx2 {

static constexpr size_t context_tensors = 512;

static std::string shape_words(const std::vector<int64_t> & shape) {
    std::string text;
    for (int64_t n : shape)
        text += (text.empty() ? "" : ", ") + std::to_string(n);
    return "[" + text + "]";
}

Weights Weights::operator/(const std::string & name) const {
    return Weights(*store_, *part_, prefix_.empty() ? name : prefix_ + "." + name);
}

const Source * Weights::find(const std::string & name) const {
    const auto found = part_->tensors.find((*this / name).prefix_);
    return found == part_->tensors.end() ? nullptr : &found->second;
}

const Source & Weights::source(const std::string & name) const {
    if (const Source * found = find(name))
        return *found;
    fail(LTX2_STATUS_MODEL, "%s: tensor %s of the %s is missing", part_->file->path.c_str(),
         (*this / name).prefix_.c_str(), part_->row->title);
}

Tensor Weights::operator()(const std::string & name, std::vector<int64_t> ne, As as) const {
    return store_->want(source(name), (*this / name).prefix_, ne, as).tensor;
}

Matrix Weights::matrix(const std::string & name, int64_t k, int64_t n) const {
    const Store::Wanted & found =
        store_->want(source(name), (*this / name).prefix_, {k, n}, As::matrix);
    return {found.tensor, found.is_codes() ? found.source.coding.get() : nullptr};
}

std::vector<Branch> Weights::branches(int64_t k, int64_t n) const {
    std::vector<Branch> branches;
    const auto found = part_->adapters.find(prefix_);
    if (found == part_->adapters.end())
        return branches;
    for (const LowRank & low : found->second) {
        const auto matrix = [&](const Source & source, int64_t inputs, int64_t outputs) {
            const std::string & name = source.info->name;
            return store_->want(source, name, {inputs, outputs}, As::matrix).tensor;
        };
        const int64_t rank = low.down.shape()[0];
        branches.push_back(
            {matrix(low.down, k, rank), matrix(low.up, rank, n), low.scale, low.adapter});
    }
    return branches;
}

std::vector<int64_t> Weights::shape(const std::string & name, size_t sides) const {
    const Source & found = source(name);
    const std::vector<int64_t> & shape = found.shape();
    if (shape.size() != sides || found.elements() < 1)
        fail(LTX2_STATUS_MODEL, "%s: tensor %s has shape %s, not one of %zu sides",
             found.file->path.c_str(), (*this / name).prefix_.c_str(), shape_words(shape).c_str(),
             sides);
    return shape;
}

void Weights::end(int64_t count) const {
    const std::string next = (*this / std::to_string(count)).prefix_ + ".";
    const auto found = part_->tensors.lower_bound(next);
    if (found != part_->tensors.end() && found->first.compare(0, next.size(), next) == 0)
        fail(LTX2_STATUS_MODEL, "%s: has %s, and its config states %lld of %s",
             found->second.file->path.c_str(), shown(found->first).c_str(),
             static_cast<long long>(count), prefix_.c_str());
}

void Weights::begin_layer() const { store_->layers_.push_back(store_->wanted_.size()); }

static FilePart part_of(const Source & source) {
    return {source.file->mapping.get(), source.info->data, source.info->size};
}

// Once it was read.
void Store::give_back(const Source & source) const {
    if (!device_.tally()) // which reads none
        release_values(source, 0, source.elements(), device_.residency.counts_cache());
}

Store::~Store() {
    device_.reader().end(); // first: it may be reading
    for (const Wanted & w : wanted_)
        give_back(w.source);
}

// Convolutions are 5-D in safetensors and folded to 4-D in GGUF: the same bytes.
static bool same_shape(const Source & source, const std::vector<int64_t> & ne, As as) {
    std::vector<int64_t> have = source.shape();
    if (as == As::taps) {
        int64_t elements = 1;
        for (int64_t n : ne)
            elements *= n;
        const bool whole = have.size() == 5 && have[0] == ne[1] && have[1] == ne[0];
        const bool flat = have.size() == 4 && have[0] == ne[1] && have[1] == ne[0];
        const bool folded = have.size() == 4 && have[0] == ne[0] * ne[1];
        const bool point = have.size() == 2 && ne[2] == 1 && have[0] == ne[1] && have[1] == ne[0];
        return (whole || flat || folded || point) && source.elements() == elements;
    }
    std::reverse(have.begin(), have.end());
    while (have.size() > ne.size() && have.back() == 1)
        have.pop_back();
    have.resize(std::max(have.size(), ne.size()), 1); // GGUF leaves outermost ones out
    return have == ne;
}

// The source, of the shape that is wanted where codes may have some columns and rows more.
static Source without_padding(Source source, const std::vector<int64_t> & ne) {
    const int64_t padding = source.coding ? source.coding->padding : 1;
    if (padding == 1 || ne.size() != 2)
        return source;
    const std::vector<int64_t> shape = {ne[1], ne[0]}, &have = source.coding->shape;
    if (round_up(ne[0], padding) == have[1] &&
        (ne[1] == have[0] || round_up(ne[1], padding) == have[0])) {
        Coding coding = *source.coding;
        coding.shape = shape;
        source.coding = std::make_shared<const Coding>(std::move(coding));
    }
    return source;
}

// What a tensor is loaded as; codes that are read as they are, as bytes.
ggml_type Store::type_of(const Source & source, As as) const {
    const TensorInfo & info = *source.info;
    if (device_.widens_weights() || as == As::f32 || source.added != 0)
        return GGML_TYPE_F32;
    if (as == As::taps)
        return source.coding                                             ? GGML_TYPE_F32
               : info.type == GGML_TYPE_F16                              ? GGML_TYPE_F16
               : info.type == GGML_TYPE_BF16 && device_.computing().pack ? GGML_TYPE_BF16
                                                                         : GGML_TYPE_F32;
    if (!source.coding)
        return info.type;
    return device_.computing().reads_codes ? GGML_TYPE_I8
           : device_.shares_memory()       ? GGML_TYPE_F32
                                           : GGML_TYPE_F16;
}

const Store::Wanted & Store::want(const Source & given, const std::string & name,
                                  const std::vector<int64_t> & ne, As as) {
    const auto known = known_.find(&given);
    if (known != known_.end())
        return *known->second;
    const Source source = without_padding(given, ne);
    if (!same_shape(source, ne, as)) {
        std::vector<int64_t> wanted(ne.rbegin(), ne.rend());
        fail(LTX2_STATUS_MODEL, "%s: tensor %s has shape %s, not %s", source.file->path.c_str(),
             name.c_str(), shape_words(source.shape()).c_str(), shape_words(wanted).c_str());
    }
    check_type(source, name, ne[0]);

    const ggml_type type = type_of(source, as);
    std::vector<int64_t> sides = ne;
    if (type == GGML_TYPE_I8)
        sides[0] = source.coding->row_bytes;
    if (contexts_.empty() || context_used_ == context_tensors) {
        contexts_.push_back(make_context(context_tensors));
        context_used_ = 0;
    }
    ++context_used_;
    Tensor tensor =
        ggml_new_tensor(contexts_.back().get(), type, static_cast<int>(sides.size()), sides.data());
    ggml_set_name(tensor, name.c_str());
    const bool as_it_is = source.coding ? type == GGML_TYPE_I8 : type == source.info->type;
    wanted_.push_back({tensor, source, as, as_it_is && can_map(source, as)});
    return *(known_[&given] = &wanted_.back());
}

// Codes are read at any address.
bool Store::can_map(const Source & source, As as) const {
    const size_t alignment = source.coding ? 1 : source.info->type == GGML_TYPE_F32 ? 4 : 2;
    return device_.shares_memory() && as != As::taps && source.added == 0 &&
           reinterpret_cast<uintptr_t>(source.info->data) % alignment == 0;
}

uint64_t Store::size() const {
    uint64_t size = 0;
    for (const Wanted & w : wanted_)
        size += ggml_nbytes(w.tensor);
    return size;
}

// Fewer rows compute so fast that mapping the weights again would show: it takes 12 ms a layer of
// the 22B model, which computes for 600 ms with so many rows.
static constexpr int64_t many_rows = 1024;

void Store::use_layer(size_t i, int64_t rows) {
    const bool give_back = rows >= many_rows;
    if (Tally * tally = device_.tally())
        streaming_.count(i, give_back, device_.residency, *tally);
    else
        streaming_.use(i, give_back, device_.residency, device_.reader());
}

void Store::unload() {
    for (const Wanted & w : wanted_)
        w.tensor->buffer = nullptr, w.tensor->data = nullptr;
    buffers_.clear();
    maps_.clear();
    counted_.reset();
    loaded_ = false;
}

void Store::load(const Progress & progress, bool reports) {
    streaming_ = {};
    for (size_t i = 0; i + 1 < layers_.size(); ++i) {
        streaming_.layers.emplace_back();
        for (size_t w = layers_[i]; w < layers_[i + 1]; ++w)
            if (wanted_[w].mapped)
                streaming_.layers.back().push_back(part_of(wanted_[w].source));
    }
    map_tensors();
    copy_tensors(progress, reports);
    loaded_ = true;
}

void Store::map_tensors() {
    size_t bytes = 0;
    for (Wanted & w : wanted_) {
        if (!w.mapped)
            continue;
        bytes += w.source.info->size;
        const Mapping & mapping = *w.source.file->mapping;
        BufferPtr & buffer = maps_[&mapping];
        if (!buffer) {
            // ggml asks for a pointer to non-const; nothing writes through it.
            void * base = const_cast<uint8_t *>(mapping.data());
            buffer.reset(ggml_backend_dev_buffer_from_host_ptr(device_.ggml(), base, mapping.size(),
                                                               mapping.size()));
            if (!buffer)
                fail(LTX2_STATUS_DEVICE, "%s: the device does not map it",
                     w.source.file->path.c_str());
            ggml_backend_buffer_set_usage(buffer.get(), GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
        }
        ggml_backend_tensor_alloc(buffer.get(), w.tensor,
                                  const_cast<uint8_t *>(w.source.info->data));
    }
    if (Tally * tally = device_.tally())
        counted_ = counted(tally->mapped, bytes - (device_.residency.all ? 0 : streaming_.size()));
}

static void read_stored(const TensorInfo & info, int64_t first, int64_t count, float * out) {
    const uint8_t * data = info.data + ggml_row_size(info.type, first);
    std::vector<uint8_t> aligned;
    if (reinterpret_cast<uintptr_t>(data) % 4) {
        aligned.assign(data, data + ggml_row_size(info.type, count));
        data = aligned.data();
    }
    if (info.type == GGML_TYPE_F32)
        std::copy_n(reinterpret_cast<const float *>(data), count, out);
    else
        ggml_get_type_traits(info.type)->to_float(data, out, count);
}

void read_values(const Source & source, int64_t first, int64_t count, float * out) {
    if (source.coding)
        source.coding->decode(first, count, out);
    else
        read_stored(*source.info, first, count, out);
    if (source.added != 0)
        for (int64_t i = 0; i < count; ++i)
            out[i] += source.added;
}

void release_values(const Source & source, int64_t first, int64_t count, bool forgets) {
    const double all = static_cast<double>(std::max<int64_t>(source.elements(), 1));
    const auto release = [&](const TensorInfo & info) { // its share of them
        const auto place = [&](int64_t value) {
            return static_cast<size_t>(static_cast<double>(value) / all *
                                       static_cast<double>(info.size));
        };
        const uint8_t * begin = info.data + place(first);
        const size_t size = place(first + count) - place(first);
        if (forgets)
            source.file->mapping->forget(begin, size);
        else
            source.file->mapping->release(begin, size);
    };
    release(*source.info);
    for (size_t i = 0; source.coding && i < source.coding->beside.size(); ++i)
        release(*source.coding->beside[i]);
}

// A convolution's weight, [O, I, taps] in the file: some outputs at a time, whole blocks of the
// file's type, as many as stay in the L2 cache. read(first, count, values); put(values, first
// output, count)
template <class Value, class Read, class Put>
static void each_outputs(ggml_type from, int64_t at_least, Tensor tensor, Read read, Put put) {
    const int64_t outputs = tensor->ne[1],
                  row = std::max<int64_t>(1, tensor->ne[0] * tensor->ne[2]);
    const int64_t step = std::max(at_least, ggml_blck_size(from));
    const int64_t some = std::max(step, (int64_t{1} << 17) / row / step * step);
    std::vector<Value> values;
    for (int64_t first = 0; first < outputs; first += some) {
        const int64_t count = std::min(some, outputs - first);
        values.resize(static_cast<size_t>(count * row));
        read(first * row, count * row, values.data());
        put(values, first, count);
    }
}

// In the order that the operation reads: its own, or ggml's [taps, O, I].
template <class Value, class Read>
static void copy_taps(ggml_type from, const Device & device, Tensor tensor, Read read) {
    const Ops & ops = device.ops();
    const int64_t in = tensor->ne[0], outputs = tensor->ne[1], taps = tensor->ne[2];
    if (ops.pack)
        return each_outputs<Value>(
            from, Ops::pack_step, tensor, read,
            [&](const std::vector<Value> & values, int64_t first, int64_t count) {
                ops.pack(tensor, values.data(), first, count);
            });
    std::vector<Value> tap;
    each_outputs<Value>(
        from, 1, tensor, read,
        [&](const std::vector<Value> & values, int64_t first, int64_t count) {
            tap.resize(static_cast<size_t>(count * in));
            for (int64_t t = 0; t < taps; ++t) {
                for (size_t i = 0; i < tap.size(); ++i)
                    tap[i] = values[i * static_cast<size_t>(taps) + static_cast<size_t>(t)];
                device.write(tensor, tap.data(), tap.size() * sizeof(Value),
                             static_cast<size_t>((t * outputs + first) * in) * sizeof(Value));
            }
        });
}

// As F32 or F16, some at a time.
static void copy_values(const Source & source, const Device & device, Tensor tensor) {
    const int64_t all = ggml_nelements(tensor), most = 1 << 18; // whole blocks of every type
    std::vector<float> values;
    std::vector<ggml_fp16_t> halves;
    for (int64_t first = 0; first < all; first += most) {
        const size_t count = static_cast<size_t>(std::min(most, all - first));
        values.resize(count);
        read_values(source, first, static_cast<int64_t>(count), values.data());
        const auto set = [&](const void * data, size_t size) {
            device.write(tensor, data, count * size, static_cast<size_t>(first) * size);
        };
        if (tensor->type == GGML_TYPE_F32) {
            set(values.data(), sizeof values[0]);
            continue;
        }
        const uint32_t largest = largest_magnitude(values.data(), count);
        if (largest > largest_f16 && largest < infinite)
            fail(LTX2_STATUS_MODEL,
                 "%s: tensor %s holds values over 65504, too large for this device; use the CPU",
                 source.file->path.c_str(), shown(source.info->name).c_str());
        halves.resize(count);
        ggml_fp32_to_fp16_row(values.data(), halves.data(), static_cast<int64_t>(count));
        set(halves.data(), sizeof halves[0]);
    }
}

static void copy_tensor(const Source & source, const Device & device, Tensor tensor, As as) {
    const TensorInfo & info = *source.info;
    const auto values = [&](int64_t first, int64_t count, float * out) {
        read_values(source, first, count, out);
    };
    if (as == As::taps && tensor->type != GGML_TYPE_F32) // as it is in the file
        return copy_taps<uint16_t>(
            info.type, device, tensor, [&](int64_t first, int64_t count, void * out) {
                std::memcpy(out, info.data + first * 2, static_cast<size_t>(count) * 2);
            });
    if (as == As::taps)
        return copy_taps<float>(source.coding ? GGML_TYPE_F32 : info.type, device, tensor, values);
    if (!source.coding && info.type == tensor->type && source.added == 0)
        return device.write(tensor, info.data, ggml_nbytes(tensor));
    copy_values(source, device, tensor);
}

void Store::copy_tensors(const Progress & progress, bool reports) {
    const auto report = [&](int done, int total) {
        if (reports)
            progress("load", done, total);
        else if (progress.stop_wanted())
            progress.fail_stopped();
    };
    ggml_backend_buffer_type_t kind = ggml_backend_dev_buffer_type(device_.ggml());
    const size_t alignment = ggml_backend_buft_get_alignment(kind);
    const auto padded = [&](Tensor t) {
        return GGML_PAD(ggml_backend_buft_get_alloc_size(kind, t), alignment);
    };
    const size_t largest = std::min<size_t>(ggml_backend_buft_get_max_size(kind), size_t{1} << 30);
    const int total = static_cast<int>(wanted_.size());
    size_t first = 0;
    while (first < wanted_.size()) {
        // Buffers of a gigabyte: small enough for every device's limit, few enough to cost nothing.
        size_t end = first, size = 0;
        for (; end < wanted_.size(); ++end) {
            const size_t more = wanted_[end].mapped ? 0 : padded(wanted_[end].tensor);
            if (size && size + more > largest)
                break;
            size += more;
        }
        ggml_backend_buffer_t buffer = nullptr;
        uint8_t * place = nullptr;
        if (size) {
            buffers_.push_back(device_.weights_buffer(size));
            buffer = buffers_.back().get();
            place = buffers_.back().data();
            ggml_backend_buffer_set_usage(buffer, GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
        }
        for (; first < end; ++first) {
            const Wanted & w = wanted_[first];
            report(static_cast<int>(first), total);
            if (w.mapped)
                continue;
            ggml_backend_tensor_alloc(buffer, w.tensor, place);
            place += padded(w.tensor);
            if (!device_.tally())
                copy_tensor(w.source, device_, w.tensor, w.as);
            give_back(w.source);
        }
    }
    report(total, total);
}

} // namespace ltx2
