// The values of a conversion's tensors: read, merged with adapters, and quantised on all cores.
#include "base/finite.h"
#include "base/limits.h"
#include "base/round.h"
#include "base/utf8.h"
#include "convert.h"
#include "graph/quantise.h"
#include "graph/weights.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <functional>
#include <mutex>
#include <thread>

namespace ltx2 {

// A source is read in pieces of this many values: whole blocks of every type there is.
static constexpr int64_t source_block = 256;

// One job after the other, on all cores; with fewer threads where the system gives no more. What a
// job throws ends the rest, and is thrown again.
static void on_all_cores(int64_t jobs, const std::function<void(int64_t)> & job) {
    std::atomic<int64_t> next{0};
    std::exception_ptr thrown;
    std::mutex guard;
    const auto work = [&] {
        for (int64_t i; (i = next++) < jobs;) {
            try {
                job(i);
            } catch (...) {
                const std::lock_guard<std::mutex> lock(guard);
                thrown = std::current_exception();
                next = jobs;
            }
        }
    };
    std::vector<std::thread> helpers;
    try {
        for (int64_t i = 1; i < std::min<int64_t>(jobs, usable_processors()); ++i)
            helpers.emplace_back(work);
    } catch (const std::exception &) { // std::system_error, std::bad_alloc
    }
    work();
    for (std::thread & helper : helpers)
        helper.join();
    if (thrown)
        std::rethrow_exception(thrown);
}

// Every type but these has F16 numbers in it, so their limit is that of them all.
static void check_values(const std::vector<float> & values, const Source & source, ggml_type type) {
    const uint32_t largest = largest_magnitude(values.data(), values.size());
    const char * path = source.file->path.c_str();
    if (largest >= infinite)
        fail(LTX2_STATUS_MODEL, "%s: tensor %s holds a value that is not finite", path,
             shown(source.info->name).c_str());
    const bool any = type == GGML_TYPE_F32 || type == GGML_TYPE_BF16 || type == GGML_TYPE_I8;
    if (!any && largest > largest_f16)
        fail(LTX2_STATUS_MODEL,
             "%s: tensor %s holds values over 65504, too large for %s; convert to bf16", path,
             shown(source.info->name).c_str(), ggml_type_name(type));
}

// What adapters add to it, or null.
const std::vector<LowRank> * Conversion::added(const Item & item) const {
    const std::string ending = item.scales ? ".weight_scale" : ".weight";
    const std::string path = item.name.substr(std::string(item.part->row->prefix).size());
    if (path.size() < ending.size() || path.substr(path.size() - ending.size()) != ending)
        return nullptr;
    const auto found = item.part->adapters.find(path.substr(0, path.size() - ending.size()));
    return found == item.part->adapters.end() ? nullptr : &found->second;
}

// A row of the sum at a time, the values of [first, first + count).
static void merge(const LowRank & low, int64_t inputs, int64_t first, int64_t count,
                  float * values) {
    const int64_t rank = low.down.shape()[0];
    const float strength = low.scale * low.adapter->strength;
    std::vector<float> down(static_cast<size_t>(rank * inputs)), up(static_cast<size_t>(rank));
    read_values(low.down, 0, rank * inputs, down.data());
    for (int64_t at = first; at < first + count;) {
        const int64_t row = at / inputs, column = at % inputs;
        const int64_t some = std::min(inputs - column, first + count - at);
        read_values(low.up, row * rank, rank, up.data());
        for (int64_t r = 0; r < rank; ++r) {
            const float factor = strength * up[static_cast<size_t>(r)];
            const float * from = down.data() + r * inputs + column;
            float * to = values + (at - first);
            for (int64_t i = 0; i < some; ++i)
                to[i] += factor * from[i];
        }
        at += some;
    }
}

// Of the source, with what adapters add.
std::vector<float> Conversion::values_of(const Item & item, int64_t first, int64_t count) const {
    std::vector<float> values(static_cast<size_t>(count));
    read_values(*item.source, first, count, values.data());
    const std::vector<LowRank> * adapters = added(item);
    for (size_t i = 0; adapters && i < adapters->size(); ++i)
        merge((*adapters)[i], item.row(), first, count, values.data());
    check_values(values, *item.source, item.type);
    return values;
}

// Rows of values that are worked on at once.
static int64_t rows_at_once(int64_t size) { return std::max<int64_t>(1, (1 << 16) / size); }

// Values [first, first + count) of a matrix in codes, or of its scales: by whole rows.
void Conversion::encode_rows(const Item & item, int64_t first, int64_t count, uint8_t * out) const {
    const int64_t size = item.row(), per_row = item.scales ? 1 : size, end = first + count;
    const int64_t last_row = divide_up(end, per_row), most = rows_at_once(size);
    std::vector<int8_t> codes(static_cast<size_t>(size));
    for (int64_t row = first / per_row, next; row < last_row; row = next) {
        next = std::min(row + most, last_row);
        std::vector<float> values = values_of(item, row * size, (next - row) * size);
        for (float * at = values.data(); row < next; ++row, at += size) {
            const float scale = write_codes(at, size, codes.data());
            if (!std::isfinite(scale))
                fail(LTX2_STATUS_MODEL, "%s: tensor %s holds values too large for i8",
                     item.source->file->path.c_str(), shown(item.source->info->name).c_str());
            const int64_t begin = std::max(first, row * per_row);
            const int64_t some = std::min(end, (row + 1) * per_row) - begin;
            if (item.scales)
                std::memcpy(out + (begin - first) * 4, &scale, sizeof scale);
            else
                std::memcpy(out + (begin - first), codes.data() + (begin - row * size),
                            static_cast<size_t>(some));
        }
    }
}

void Conversion::encode(const Item & item, int64_t first, int64_t count, uint8_t * out) const {
    if (item.in_codes() || item.scales)
        return encode_rows(item, first, count, out);
    const TensorInfo & info = *item.source->info;
    const std::vector<float> values = values_of(item, first, count);
    // A second rounding would differ.
    if (!added(item) && !item.source->coding && info.type == item.type && item.source->added == 0)
        std::memcpy(out, info.data + ggml_row_size(info.type, first),
                    ggml_row_size(info.type, count));
    else
        write_values(item.type, values.data(), count, out);
}

void Conversion::read(int32_t index, int64_t first, int64_t count, void * out, size_t size) const {
    if (index < 0 || static_cast<size_t>(index) >= items_.size())
        fail(LTX2_STATUS_INVALID_ARGUMENT, "tensor: %d is not in 0..%zu", index, items_.size() - 1);
    const Item & item = items_[static_cast<size_t>(index)];
    const int64_t all = item.elements();
    if (first < 0 || count < 1 || count > all || first > all - count || first % source_block ||
        (count % source_block && first + count != all))
        fail(LTX2_STATUS_INVALID_ARGUMENT,
             "first, count: %lld, %lld are not blocks of %lld within %lld values",
             static_cast<long long>(first), static_cast<long long>(count),
             static_cast<long long>(source_block), static_cast<long long>(all));
    if (size < ggml_row_size(item.type, count))
        fail(LTX2_STATUS_INVALID_ARGUMENT, "size: %zu bytes for %zu", size,
             ggml_row_size(item.type, count));
    // Its copies fit the L2 cache; of codes it is whole rows.
    const int64_t rows = rows_at_once(item.row());
    const int64_t piece = item.scales ? rows : item.in_codes() ? rows * item.row() : 1 << 16;
    const int64_t origin = item.in_codes() ? first / item.row() * item.row() : first;
    const int64_t end = first + count;
    while_unchanged(model_, [&] { // adapters too
        on_all_cores(divide_up(end - origin, piece), [&](int64_t i) {
            const int64_t begin = std::max(first, origin + i * piece);
            encode(item, begin, std::min(origin + (i + 1) * piece, end) - begin,
                   static_cast<uint8_t *>(out) + ggml_row_size(item.type, begin - first));
        });
    });
    const int64_t per_value = item.scales ? item.row() : 1;
    release_values(*item.source, first * per_value, count * per_value);
}

} // namespace ltx2
