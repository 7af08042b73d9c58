#include "convert.h"

#include "base/finite.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/round.h"
#include "base/utf8.h"
#include "dit/dit.h"
#include "files/paths.h"
#include "request.h"
#include "text/encoder.h"
#include "text/gemma3_config.h"
#include "text/tokenizer.h"
#include "text/tokenizer_parts.h"
#include "vae/video_decoder.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <functional>
#include <mutex>
#include <set>
#include <thread>
#include <tuple>

namespace ltx2 {

// ---- how a tensor is stored

namespace {

struct Stored {
    const char * name;
    ggml_type type;
    int file_type; // llama.cpp's number
};
// From the most precise to the smallest. Blocks of the quantised ones have 32 values.
constexpr Stored types[] = {{"f32", GGML_TYPE_F32, 0},
                            {"f16", GGML_TYPE_F16, 1},
                            {"q8_0", GGML_TYPE_Q8_0, 7},
                            {"q5_1", GGML_TYPE_Q5_1, 9},
                            {"q4_0", GGML_TYPE_Q4_0, 2}};
enum { f32, f16, q8_0 };
constexpr int64_t block = 32;

// A source is read in pieces of this many values: whole blocks of every type there is.
constexpr int64_t source_block = 256;

} // namespace

template <class Rows>
static std::vector<std::string> names_of(const Rows & rows) {
    std::vector<std::string> names;
    for (const auto & row : rows)
        names.emplace_back(row.name);
    return names;
}

std::vector<std::string> conversion_types() { return names_of(types); }
std::vector<std::string> conversion_variants() { return names_of(ltx23_variants); }

static int index_of(const char * field, const std::string & name,
                    const std::vector<std::string> & names) {
    std::string all;
    for (size_t i = 0; i < names.size(); ++i) {
        if (names[i] == name)
            return static_cast<int>(i);
        all += (i ? ", " : "") + names[i];
    }
    fail(LTX2_STATUS_INVALID_ARGUMENT, "%s: %s is not one of %s", field, name.c_str(), all.c_str());
}

static const Variant * find_variant(const std::string & name) {
    const int index = index_of("variant", name, conversion_variants());
    return &ltx23_variants[static_cast<size_t>(index)];
}

static bool holds_any(const std::string & name, std::initializer_list<const char *> words) {
    return std::any_of(words.begin(), words.end(),
                       [&](const char * word) { return name.find(word) != std::string::npos; });
}

// The DiT block that a tensor belongs to, or -1.
static int block_of(const Part & part, const std::string & name) {
    const std::string prefix = "transformer_blocks.";
    if (part.row->id != std::string(Dit::part) || name.compare(0, prefix.size(), prefix) != 0)
        return -1;
    const long block = std::strtol(name.c_str() + prefix.size(), nullptr, 10);
    return static_cast<int>(std::min(block, 1L << 20)); // a file may state any number
}

static int count_blocks(const Part & part) {
    int count = 0;
    for (const auto & [name, source] : part.tensors)
        count = std::max(count, block_of(part, name) + 1);
    return count;
}

// Of `types`, when matrices are to be `wanted`. What is small, and every token passes through,
// costs more when it is rounded than it saves.
static int stored_type(const Part & part, const std::string & name,
                       const std::vector<int64_t> & shape, int wanted, int blocks) {
    if (wanted == f32 || shape.size() < 2 ||
        holds_any(name, {"scale_shift_table", "learnable_registers", "per_channel_statistics"}))
        return f32;
    const bool precise = part.row->id == std::string(VideoDecoder::part) ||
                         holds_any(name, {"adaln", "to_gate_logits"}) ||
                         holds_any("." + name, {".patchify_proj.", ".proj_out."});
    if (precise || wanted == f16 || shape.size() != 2 || shape.back() % block)
        return f16;
    if (name == "token_embd.weight")
        return q8_0; // only the prompt's rows are read: its size costs the disk, no memory
    const int at = block_of(part, name);
    const bool edge = at >= 0 && (at < 2 || at >= blocks - 2);
    return edge ? wanted - 1 : wanted;
}

// ---- what the new file holds

Conversion::Conversion(const std::vector<std::string> & paths, const std::string & type,
                       const std::string & variant)
    : ltx2_conversion{}, wanted_(index_of("type", type, conversion_types())),
      variant_(variant.empty() ? nullptr : find_variant(variant)), model_(paths) {
    for (const PartRow & row : part_rows())
        if (const Part * part = model_.find(row.id))
            parts_.push_back(part);
    if (parts_.empty())
        model_.need_all(); // says why
    const bool text = model_.find(TextEncoder::part);
    if (text && parts_.size() > 1)
        fail(LTX2_STATUS_INVALID_ARGUMENT,
             "files: %s holds a %s and %s a %s; each becomes a file of its own",
             parts_[0]->file->path.c_str(), parts_[0]->row->title, parts_[1]->file->path.c_str(),
             parts_[1]->row->title);
    if (variant_ && !model_.find(Dit::part))
        fail(LTX2_STATUS_INVALID_ARGUMENT, "variant: a %s has none", parts_[0]->row->title);
    add_items();

    std::string name = file_name(is_folder(paths[0]) ? resolved(paths[0]) : paths[0]);
    if (!is_folder(paths[0]))
        name = name.substr(0, name.rfind('.'));
    Json metadata, all;
    metadata.set("general.name", name);
    if (text)
        add_text_metadata(metadata);
    else
        add_video_metadata(metadata);
    metadata.set("general.quantization_version", GGML_QNT_VERSION);
    metadata.set("general.file_type", types[wanted_].file_type);
    all.set("architecture", text ? "gemma3" : "ltxv");
    all.set("metadata", std::move(metadata));
    add_tensors(all);
    plan_ = all.dump();
    plan = plan_.c_str();
}

// In the order of the source, so that it is read from its start to its end.
void Conversion::add_items() {
    for (const Part * part : parts_) {
        const int blocks = count_blocks(*part);
        for (const auto & [name, source] : part->tensors) {
            std::vector<int64_t> shape = source.shape();
            if (shape.empty() || shape.size() > 5 || source.elements() == 0)
                fail(LTX2_STATUS_MODEL, "%s: tensor %s: a shape of %zu dimensions, %lld values",
                     source.file->path.c_str(), shown(source.info->name).c_str(), shape.size(),
                     static_cast<long long>(source.elements()));
            check_type(source, shown(source.info->name), shape.back());
            const int stored = stored_type(*part, name, shape, wanted_, blocks);
            if (shape.size() == 5) { // a convolution; GGUF has at most four dimensions
                shape[0] *= shape[1];
                shape.erase(shape.begin() + 1);
            }
            items_.push_back({&source, part->row->prefix + name, shape, types[stored].type});
        }
    }
    std::sort(items_.begin(), items_.end(), [](const Item & a, const Item & b) {
        return std::tie(a.source->file->path, a.source->info->data) <
               std::tie(b.source->file->path, b.source->info->data);
    });
}

void Conversion::add_tensors(Json & all) const {
    Json::Array tensors, files;
    std::set<std::string> paths;
    for (const Item & item : items_) {
        const TensorInfo & info = *item.source->info;
        tensors.push_back(Json::Object{{"name", item.name},
                                       {"type", ggml_type_name(item.type)},
                                       {"shape", Json::Array(item.shape.begin(), item.shape.end())},
                                       {"bytes", ggml_row_size(item.type, item.source->elements())},
                                       {"source_bytes", info.size}});
        if (paths.insert(item.source->file->path).second)
            files.push_back(item.source->file->path);
    }
    all.set("tensors", std::move(tensors));
    all.set("files", std::move(files));
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
            const bool of_the_file = key == "format" || key.substr(0, 8) == "general.";
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
    const int blocks = count_blocks(*dit);
    const Json group = Json::parse(variant->sampling, variant->name);
    for (const Json & skipped : group.find("stg_blocks")->array(variant->name))
        if (skipped.integer(variant->name) >= blocks) {
            if (!variant_)
                return "";
            fail(LTX2_STATUS_INVALID_ARGUMENT,
                 "variant: %s skips block %lld, %s has %d blocks; state config.sampling in it",
                 variant->name, static_cast<long long>(skipped.integer(variant->name)),
                 dit->file->path.c_str(), blocks);
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

// Every type but F32 has F16 numbers in it, so their limit is that of them all.
static void check_values(const std::vector<float> & values, const Source & source, ggml_type type) {
    constexpr uint32_t largest_f16 = 0x477FE000; // as bits
    const uint32_t largest = largest_magnitude(values.data(), values.size());
    const char * path = source.file->path.c_str();
    if (largest >= infinite)
        fail(LTX2_STATUS_MODEL, "%s: tensor %s holds a value that is not finite", path,
             shown(source.info->name).c_str());
    if (type != GGML_TYPE_F32 && largest > largest_f16)
        fail(LTX2_STATUS_MODEL,
             "%s: tensor %s holds values over 65504, too large for %s; convert to f32", path,
             shown(source.info->name).c_str(), ggml_type_name(type));
}

void Conversion::encode(const Item & item, int64_t first, int64_t count, uint8_t * out) const {
    const TensorInfo & info = *item.source->info;
    std::vector<float> values(static_cast<size_t>(count));
    read_values(*item.source, first, count, values.data());
    check_values(values, *item.source, item.type);
    // A second rounding would differ.
    if (!item.source->coding && info.type == item.type && item.source->added == 0)
        std::memcpy(out, info.data + ggml_row_size(info.type, first),
                    ggml_row_size(info.type, count));
    else
        ggml_quantize_chunk(item.type, values.data(), out, 0, 1, count, nullptr);
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
