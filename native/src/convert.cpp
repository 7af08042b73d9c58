#include "convert.h"

#include "base/finite.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/named.h"
#include "base/round.h"
#include "base/utf8.h"
#include "dit/dit.h"
#include "files/paths.h"
#include "graph/quantise.h"
#include "model/describe.h"
#include "request.h"
#include "text/encoder.h"
#include "text/gemma3_config.h"
#include "text/tokenizer.h"
#include "text/tokenizer_parts.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <tuple>

namespace ltx2 {

// A source is read in pieces of this many values: whole blocks of every type there is.
static constexpr int64_t source_block = 256;

std::vector<std::string> conversion_types() { return names_of(storage_types()); }
std::vector<std::string> conversion_variants() { return names_of(ltx23_variants); }

static const Variant * find_variant(const std::string & name) {
    return &find_named("variant", ltx23_variants, name);
}

static int64_t count_blocks(const Part & part) {
    int64_t count = 0;
    for (const auto & [name, source] : part.tensors)
        count = std::max(count, block_of(part.row->prefix + name) + 1);
    return count;
}

// ---- what the new file holds

static std::string name_of(const std::string & path) {
    if (is_folder(path))
        return file_name(resolved(path));
    const std::string name = file_name(path);
    return name.substr(0, name.rfind('.'));
}

Conversion::Conversion(const ConversionRequest & request)
    : ltx2_conversion{},
      variant_(request.variant.empty() ? nullptr : find_variant(request.variant)),
      type_(&storage_type(request.type.empty() ? "q8_0" : request.type)),
      model_(request.files, request.adapters) {
    Device("CPU", 1); // chooses the kernels, as the environment says
    if (!request.type.empty() && request.target_size)
        fail(LTX2_STATUS_INVALID_ARGUMENT, "type: a target_size picks the types; give one of them");
    for (const PartRow & row : part_rows())
        if (const Part * part = model_.find(row.id);
            part && row.is_loaded() && (!row.sound || request.audio))
            parts_.push_back(part);
    if (parts_.empty() && !request.audio && !model_.files().empty())
        fail(LTX2_STATUS_INVALID_ARGUMENT, "audio: %s holds sound alone; keep it",
             model_.files().front().path.c_str());
    if (parts_.empty())
        model_.need_all(); // says why
    if (model_.find(TextEncoder::part) && parts_.size() > 1)
        fail(LTX2_STATUS_INVALID_ARGUMENT,
             "files: %s holds a %s and %s a %s; each becomes a file of its own",
             parts_[0]->file->path.c_str(), parts_[0]->row->title, parts_[1]->file->path.c_str(),
             parts_[1]->row->title);
    if (variant_ && !model_.find(Dit::part))
        fail(LTX2_STATUS_INVALID_ARGUMENT, "variant: a %s has none", parts_[0]->row->title);
    for (const Part * part : parts_)
        add_items(*part);
    std::sort(items_.begin(), items_.end(), [](const Item & a, const Item & b) {
        return std::tie(a.source->file->path, a.source->info->data) <
               std::tie(b.source->file->path, b.source->info->data);
    }); // so that the source is read from its start to its end

    Json keys = metadata(name_of(request.files[0]));
    choose_types(request, keys);
    uint64_t size = head_size(keys);
    for (const Item & item : items_)
        size += item.place;
    plan_ = Json(Json::Object{{"architecture", architecture()},
                              {"metadata", keys},
                              {"tensors", tensors()},
                              {"dropped", dropped()},
                              {"size", size}})
                .dump();
    plan = plan_.c_str();
    for (const std::string & path : paths_)
        files_.push_back(path.c_str());
    files = files_.data();
    file_count = files_.size();
}

void Conversion::add_items(const Part & part) {
    for (const auto & [name, source] : part.tensors) {
        const std::vector<int64_t> & shape = source.shape();
        if (shape.empty() || shape.size() > 5 || source.elements() == 0)
            fail(LTX2_STATUS_MODEL, "%s: tensor %s: a shape of %zu dimensions, %lld values",
                 source.file->path.c_str(), shown(source.info->name).c_str(), shape.size(),
                 static_cast<long long>(source.elements()));
        check_type(source, shown(source.info->name), shape.back());
        items_.push_back({&part, &source, part.row->prefix + name, shape});
    }
}

void Conversion::choose_types(const ConversionRequest & request, Json & metadata) {
    std::vector<StoredTensor> tensors;
    for (const Item & item : items_)
        tensors.push_back({item.name, item.shape});
    Storage storage(tensors, *type_, request.tensor_type);
    Fit fit;
    if (request.target_size) {
        const uint64_t head = head_size(metadata) + 2048; // with what is picked
        fit = storage.fit(request.target_size - std::min(request.target_size, head));
    }
    const std::vector<const StorageType *> types = storage.choose();
    for (size_t i = 0; i < items_.size(); ++i) {
        Item & item = items_[i];
        item.type = types[i]->type;
        item.place = stored_size(tensors[i], *types[i]);
        if (item.shape.size() == 5) { // a convolution; GGUF has at most four dimensions
            item.shape[0] *= item.shape[1];
            item.shape.erase(item.shape.begin() + 1);
        }
        if (paths_.empty() || paths_.back() != item.source->file->path)
            paths_.push_back(item.source->file->path);
    }
    add_type_metadata(request, fit, metadata);
}

Json::Array Conversion::tensors() const {
    Json::Array all;
    for (const Item & item : items_) {
        const TensorInfo & info = *item.source->info;
        all.push_back(Json::Object{{"name", item.name},
                                   {"part", item.part->row->id},
                                   {"type", ggml_type_name(item.type)},
                                   {"type_id", int{item.type}},
                                   {"shape", Json::Array(item.shape.begin(), item.shape.end())},
                                   {"bytes", ggml_row_size(item.type, item.source->elements())},
                                   {"source_bytes", info.size}});
    }
    return all;
}

// What the files hold besides, by part.
Json::Array Conversion::dropped() const {
    std::set<const TensorInfo *> kept;
    for (const Item & item : items_) {
        kept.insert(item.source->info);
        if (item.source->coding)
            kept.insert(item.source->coding->beside.begin(), item.source->coding->beside.end());
    }
    std::map<std::string, TensorSum> sums;
    for (const TensorFile & file : model_.files())
        for (const TensorInfo & tensor : file.tensors)
            if (!kept.count(&tensor)) {
                const PartRow * row = unused_part(tensor);
                sums[row ? row->id : ""].add(tensor, tensor.elements());
            }
    Json::Array all;
    for (const auto & [part, sum] : sums) {
        Json::Object row{{"part", part.empty() ? Json() : part}};
        sum.put(row);
        all.push_back(row);
    }
    return all;
}

// ---- its metadata

static uint64_t value_size(const Json & value) {
    uint64_t size = 0;
    switch (value.kind()) {
    case Json::Kind::string:
        return 8 + value.string("").size();
    case Json::Kind::array:
        for (const Json & item : value.array(""))
            size += value_size(item);
        return 4 + 8 + size;
    case Json::Kind::boolean:
        return 1;
    default:
        return 4;
    }
}

// Of a GGUF file, to the byte: all that stands before the tensors.
uint64_t Conversion::head_size(const Json & metadata) const {
    const auto key_size = [](std::string_view key, const Json & value) {
        return 8 + key.size() + 4 + value_size(value);
    };
    uint64_t size = 4 + 4 + 8 + 8 + key_size("general.architecture", architecture());
    for (const auto & [key, value] : metadata.object(""))
        size += key_size(key, value);
    for (const Item & item : items_)
        size += 8 + item.name.size() + 4 + 8 * std::min<size_t>(item.shape.size(), 4) + 4 + 8;
    return round_up(size, tensor_alignment);
}

const char * Conversion::architecture() const {
    return model_.find(TextEncoder::part) ? "gemma3" : "ltxv";
}

// As a reader will find it: of texts that are not UTF-8, what becomes of them.
Json Conversion::metadata(const std::string & name) const {
    Json keys;
    keys.set("general.name", name);
    if (model_.find(TextEncoder::part))
        add_text_metadata(keys);
    else
        add_video_metadata(keys);
    Json::Array places;
    for (size_t i = 0; i < items_.size(); ++i)
        places.push_back(std::string(64, '0'));
    keys.set(checksums_key, places);
    return Json::parse(keys.dump(), "the new file's metadata");
}

// The file's type is the one that most of its bytes have; what was picked is stated too.
void Conversion::add_type_metadata(const ConversionRequest & request, const Fit & fit,
                                   Json & metadata) const {
    const StorageType * most = type_;
    if (request.target_size) {
        std::map<ggml_type, uint64_t> bytes;
        for (const Item & item : items_)
            bytes[item.type] += item.place;
        for (const StorageType & type : storage_types())
            if (bytes[type.type] > bytes[most->type])
                most = &type;
        Json::Object types;
        for (size_t g = 0; g < fit.types.size(); ++g)
            if (fit.types[g])
                types.add(groups()[g].names, fit.types[g]->name);
        const Json picked = Json::Object{{"target_size", request.target_size},
                                         {"expected_psnr", std::round(fit.psnr * 10) / 10},
                                         {"types", types}};
        metadata.set("ltx2.quantisation", picked.dump());
    }
    metadata.set("general.quantization_version", GGML_QNT_VERSION);
    metadata.set("general.file_type", most->file_type);
}

// The component's own checks come first: what could not be opened afterwards is not written.
void Conversion::add_text_metadata(Json & metadata) const {
    Device cpu("CPU", 1);
    open_text_encoder(model_, cpu);
    const Part & part = model_.need(TextEncoder::part);
    std::vector<ScoredPiece> pieces;
    Tokenizer::open(part, &pieces);
    const std::string & path = part.file->path;
    const Source & embedding = part.tensors.find("token_embd.weight")->second;
    put_gguf_keys(gemma_config(*part.file), path, metadata);
    put_gguf_keys(std::move(pieces), static_cast<size_t>(embedding.shape()[0]), path, metadata);
}

// The text that the files state, with `sampling` added at its end. Where none does, or they differ,
// what the parts were opened with.
static std::string config_text(const std::vector<const Part *> & parts,
                               const std::string & sampling) {
    std::set<std::string> stated;
    Json all = Json::Object();
    for (const Part * part : parts) {
        const std::optional<Json> text = part->file->metadata.find("config");
        if (text && !text->string(part->file->path + ": config").empty())
            stated.emplace(text->string(""));
        for (const auto & [group, value] : part->config.object(""))
            all.set(group, value);
    }
    std::string text = stated.size() == 1 ? *stated.begin() : all.dump();
    if (sampling.empty())
        return text;
    text.erase(text.rfind('}'));
    const bool empty = text.find_first_not_of(" \t\r\n", text.find('{') + 1) == std::string::npos;
    return text + (empty ? "" : ", ") + "\"sampling\": " + sampling + "}";
}

void Conversion::add_video_metadata(Json & metadata) const {
    for (const Part * part : parts_)
        for (const auto & [key, value] : part->file->metadata.object(part->file->path)) {
            const bool text = value.kind() == Json::Kind::string && !value.string("").empty();
            const bool of_the_file =
                key == "format" || key.substr(0, 8) == "general." || key.substr(0, 5) == "ltx2.";
            if (text && !of_the_file && !metadata.find(key))
                metadata.set(key, value);
        }
    metadata.set("config", config_text(parts_, sampling()));
}

// The group to state: none where a file has one already, or nothing tells which it is.
std::string Conversion::sampling() const {
    const Part * dit = model_.find(Dit::part);
    if (!dit || dit->config.find("sampling"))
        return "";
    const std::string named = variant_ ? "" : variant_of(*dit);
    if (!variant_ && named.empty()) {
        log(Level::warning,
            "%s: nothing tells whether it is a distilled or a dev model, and the new file will not "
            "either; give the variant",
            dit->file->path.c_str());
        return "";
    }
    const Variant * variant = variant_ ? variant_ : find_variant(named);
    const int64_t blocks = count_blocks(*dit);
    const Json group = Json::parse(variant->sampling, variant->name);
    for (const Json & skipped : group.find("stg_blocks")->array(variant->name))
        if (skipped.integer(variant->name) >= blocks) {
            if (!variant_)
                return "";
            fail(LTX2_STATUS_INVALID_ARGUMENT,
                 "variant: %s skips block %lld, %s has %lld blocks; state config.sampling in it",
                 variant->name, static_cast<long long>(skipped.integer(variant->name)),
                 dit->file->path.c_str(), static_cast<long long>(blocks));
        }
    return variant->sampling;
}

// ---- its values

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

// Every type but these two has F16 numbers in it, so their limit is that of them all.
static void check_values(const std::vector<float> & values, const Source & source, ggml_type type) {
    const uint32_t largest = largest_magnitude(values.data(), values.size());
    const char * path = source.file->path.c_str();
    if (largest >= infinite)
        fail(LTX2_STATUS_MODEL, "%s: tensor %s holds a value that is not finite", path,
             shown(source.info->name).c_str());
    if (type != GGML_TYPE_F32 && type != GGML_TYPE_BF16 && largest > largest_f16)
        fail(LTX2_STATUS_MODEL,
             "%s: tensor %s holds values over 65504, too large for %s; convert to bf16", path,
             shown(source.info->name).c_str(), ggml_type_name(type));
}

// What adapters add to it, or null.
const std::vector<LowRank> * Conversion::added(const Item & item) const {
    constexpr size_t ending = sizeof ".weight" - 1;
    const std::string path = item.name.substr(std::string(item.part->row->prefix).size());
    if (path.size() < ending)
        return nullptr;
    const auto found = item.part->adapters.find(path.substr(0, path.size() - ending));
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

void Conversion::encode(const Item & item, int64_t first, int64_t count, uint8_t * out) const {
    const TensorInfo & info = *item.source->info;
    std::vector<float> values(static_cast<size_t>(count));
    read_values(*item.source, first, count, values.data());
    const std::vector<LowRank> * adapters = added(item);
    for (size_t i = 0; adapters && i < adapters->size(); ++i)
        merge((*adapters)[i], item.shape.back(), first, count, values.data());
    check_values(values, *item.source, item.type);
    // A second rounding would differ.
    if (!adapters && !item.source->coding && info.type == item.type && item.source->added == 0)
        std::memcpy(out, info.data + ggml_row_size(info.type, first),
                    ggml_row_size(info.type, count));
    else
        write_values(item.type, values.data(), count, out);
}

void Conversion::read(int32_t index, int64_t first, int64_t count, void * out, size_t size) const {
    if (index < 0 || static_cast<size_t>(index) >= items_.size())
        fail(LTX2_STATUS_INVALID_ARGUMENT, "tensor: %d is not in 0..%zu", index, items_.size() - 1);
    const Item & item = items_[static_cast<size_t>(index)];
    const int64_t all = item.source->elements();
    if (first < 0 || count < 1 || count > all || first > all - count || first % source_block ||
        (count % source_block && first + count != all))
        fail(LTX2_STATUS_INVALID_ARGUMENT,
             "first, count: %lld, %lld are not blocks of %lld within %lld values",
             static_cast<long long>(first), static_cast<long long>(count),
             static_cast<long long>(source_block), static_cast<long long>(all));
    if (size < ggml_row_size(item.type, count))
        fail(LTX2_STATUS_INVALID_ARGUMENT, "size: %zu bytes for %zu", size,
             ggml_row_size(item.type, count));
    const int64_t piece = 1 << 16; // its copies fit the L2 cache
    while_unchanged(*item.source->file->mapping, [&] {
        on_all_cores(divide_up(count, piece), [&](int64_t i) {
            const int64_t begin = i * piece;
            encode(item, first + begin, std::min(piece, count - begin),
                   static_cast<uint8_t *>(out) + ggml_row_size(item.type, begin));
        });
    });
    release_values(*item.source, first, count);
}

} // namespace ltx2
