#include "convert.h"

#include "base/log.h"
#include "base/named.h"
#include "base/round.h"
#include "base/utf8.h"
#include "dit/dit.h"
#include "files/paths.h"
#include "model/codings.h"
#include "model/describe.h"
#include "request.h"
#include "text/connector.h"
#include "text/encoder.h"
#include "text/gemma_config.h"
#include "text/tokenizer.h"
#include "text/tokenizer_parts.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <set>
#include <tuple>

namespace ltx2 {

std::vector<std::string> conversion_types() { return names_of(storage_types()); }
std::vector<std::string> conversion_variants() { return names_of(variants()); }

int64_t Conversion::Item::elements() const { return scales ? shape[0] : source->elements(); }

static constexpr const char * adapters_key = "ltx2.loras";

static int64_t count_blocks(const Part & part) {
    int64_t count = 0;
    for (const auto & [name, source] : part.tensors)
        count = std::max(count, block_of(part.row->prefix + name) + 1);
    return count;
}

static bool goes_with_text(const std::string & part) {
    return part == TextEncoder::part || part == Connector::projection_part ||
           part == AudioConnector::projection_part;
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
      variant_(request.variant.empty() ? nullptr
                                       : &find_named("variant", variants(), request.variant)),
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
        model_.need_all();           // says why
    for (const Part * part : parts_) // LTX-2.5's text encoder brings its projections
        if (model_.find(TextEncoder::part) &&
            (part->file != parts_[0]->file || !goes_with_text(part->row->id)))
            fail(LTX2_STATUS_INVALID_ARGUMENT,
                 "files: %s holds a %s and %s a %s; each becomes a file of its own",
                 parts_[0]->file->path.c_str(), parts_[0]->row->title, part->file->path.c_str(),
                 part->row->title);
    model_.check_generations();
    if (variant_ && !model_.find(Dit::part))
        fail(LTX2_STATUS_INVALID_ARGUMENT, "variant: a %s has none", parts_[0]->row->title);
    for (const Part * part : parts_)
        add_items(*part);
    std::sort(items_.begin(), items_.end(), [](const Item & a, const Item & b) {
        return std::tie(a.source->file->path, a.source->info->data) <
               std::tie(b.source->file->path, b.source->info->data);
    }); // so that the source is read from its start to its end

    Json keys = metadata(name_of(request.files[0]), request.adapters);
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
    add_paths(request);
    for (const std::string & path : paths_)
        files_.push_back(path.c_str());
    files = files_.data();
    file_count = files_.size();
}

// All that is read, also what the new file has nothing of: the caller keeps it from being replaced.
void Conversion::add_paths(const ConversionRequest & request) {
    for (const TensorFile & file : model_.files()) {
        paths_.push_back(file.path);
        for (const char * name : {"config.json", "tokenizer.json", "tokenizer.model"})
            if (const std::string path = next_to(file.path, name); exists(path))
                paths_.push_back(path);
    }
    for (const Adapter & adapter : request.adapters) {
        paths_.push_back(adapter.path);
        if (const std::string path = next_to(adapter.path, "adapter_config.json"); exists(path))
            paths_.push_back(path);
    }
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

// Of so many tensors: the caller fills them in.
static Json::Array no_checksums(size_t count) {
    Json::Array all;
    for (size_t i = 0; i < count; ++i)
        all.push_back(std::string(64, '0'));
    return all;
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
    }
    add_scales(metadata);
    add_type_metadata(request, fit, metadata);
}

// Matrices in codes get a tensor of scales, and are named.
void Conversion::add_scales(Json & metadata) {
    std::vector<Item> all;
    Json::Object layers;
    std::set<std::string> made;
    for (const Item & item : items_)
        if (item.in_codes())
            made.insert(item.name + "_scale");
    for (Item & item : items_) {
        if (made.count(item.name)) // of what the source once was
            continue;
        all.push_back(std::move(item));
        if (!all.back().in_codes())
            continue;
        Item scales = all.back();
        const std::string module =
            scales.name.substr(0, scales.name.size() - std::strlen(".weight"));
        layers.add(module, Json::Object{{"format", "int8_tensorwise"}, {"convrot", true}});
        scales.name = module + ".weight_scale";
        scales.shape = {scales.shape[0]};
        scales.type = GGML_TYPE_F32;
        scales.scales = true;
        scales.place = stored_size({scales.name, scales.shape}, storage_type("f32"));
        all.push_back(std::move(scales));
    }
    items_ = std::move(all);
    if (layers.empty())
        return;
    metadata.set(checksums_key, no_checksums(items_.size()));
    metadata.set(codings_key, Json(Json::Object{{"layers", layers}}).dump());
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
                                   {"bytes", ggml_row_size(item.type, item.elements())},
                                   {"source_bytes", item.scales ? 0 : info.size}});
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

std::string Conversion::architecture() const {
    const Part * text = model_.find(TextEncoder::part);
    return text ? gemma_config(*text->file).architecture : "ltxv";
}

// As a reader will find it: of texts that are not UTF-8, what becomes of them.
Json Conversion::metadata(const std::string & name, const std::vector<Adapter> & adapters) const {
    Json keys;
    keys.set("general.name", name);
    if (model_.find(TextEncoder::part))
        add_text_metadata(keys);
    else
        add_video_metadata(keys);
    add_adapters(adapters, keys);
    keys.set(checksums_key, no_checksums(items_.size()));
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

// Those that are merged, after those that the sources have had.
void Conversion::add_adapters(const std::vector<Adapter> & adapters, Json & metadata) const {
    Json::Array all;
    std::set<std::string> seen; // a file may have several parts
    for (const Part * part : parts_)
        if (const std::optional<Json> before = part->file->metadata.find(adapters_key);
            before && seen.insert(part->file->path).second)
            for (const Json & one :
                 Json::parse(before->string(adapters_key), adapters_key).array(adapters_key))
                all.push_back(one);
    for (const Adapter & adapter : adapters)
        all.push_back(about(adapter));
    if (!all.empty())
        metadata.set(adapters_key, Json(all).dump());
}

static bool is_license(std::string_view key) { return key.substr(0, 15) == "general.license"; }

static bool is_text(const Json & value) {
    return value.kind() == Json::Kind::string && !value.string("").empty();
}

// The component's own checks come first: what could not be opened afterwards is not written.
void Conversion::add_text_metadata(Json & metadata) const {
    Device cpu("CPU", 1);
    open_text_encoder(model_, cpu);
    const Part & part = model_.need(TextEncoder::part);
    GgufVocabulary vocabulary;
    Tokenizer::open(part, &vocabulary);
    const std::string & path = part.file->path;
    if (parts_.size() > 1) // of the parts beside it
        for (const char * key : {"model_version", "license", "config"})
            if (const auto text = part.file->metadata.find(key))
                metadata.set(key, *text);
    for (const auto & [key, value] : part.file->metadata.object(path))
        if (is_license(key) && is_text(value))
            metadata.set(key, value);
    const Source & embedding = part.tensors.find("token_embd.weight")->second;
    put_gguf_keys(gemma_config(*part.file), path, metadata);
    put_gguf_keys(std::move(vocabulary), static_cast<size_t>(embedding.shape()[0]), path, metadata);
}

// The text that the files state, with `sampling` added at its end. Where none does, or they differ,
// what the parts were opened with. As in Model::read_configs, a part that no group is about counts
// only alone.
static std::string config_text(const std::vector<const Part *> & parts,
                               const std::string & sampling) {
    std::set<std::string> stated;
    Json all = Json::Object();
    const bool any = std::any_of(parts.begin(), parts.end(),
                                 [](const Part * part) { return !part->row->groups.empty(); });
    for (const Part * part : parts) {
        const std::optional<Json> text = part->file->metadata.find("config");
        if (text && any == !part->row->groups.empty() &&
            !text->string(part->file->path + ": config").empty())
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
            const bool of_the_file = key == "format" || key == codings_key ||
                                     (key.substr(0, 8) == "general." && !is_license(key)) ||
                                     key.substr(0, 5) == "ltx2.";
            if (is_text(value) && !of_the_file && !metadata.find(key))
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
    const Variant * variant = variant_ ? variant_ : &find_named("variant", variants(), named);
    const int64_t blocks = count_blocks(*dit);
    const std::string stated = variant->sampling(model_.generation());
    const Json group = Json::parse(stated, variant->name);
    for (const Json & skipped : group.find("stg_blocks")->array(variant->name))
        if (skipped.integer(variant->name) >= blocks) {
            if (!variant_)
                return "";
            fail(LTX2_STATUS_INVALID_ARGUMENT,
                 "variant: %s skips block %lld, %s has %lld blocks; state config.sampling in it",
                 variant->name, static_cast<long long>(skipped.integer(variant->name)),
                 dit->file->path.c_str(), static_cast<long long>(blocks));
        }
    return stated;
}

} // namespace ltx2
