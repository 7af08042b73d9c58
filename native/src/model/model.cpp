#include "model/model.h"

#include "base/log.h"
#include "files/paths.h"
#include "model/builtin/ltx_2_3.h"

#include <algorithm>

namespace ltx2 {

static std::string text_of(const ModelFile & file, const char * key) {
    const Json * value = file.metadata.find(key);
    return value ? value->string(file.path + ": " + key) : "";
}

Model::Model(const std::vector<std::string> & paths) {
    if (paths.empty())
        fail(LTX2_STATUS_INVALID_ARGUMENT, "files: none given");
    for (const std::string & path : paths) {
        const bool folder = is_folder(path);
        for (const std::string & file : model_files(path))
            add(file, !folder);
    }
    check_versions();
    check_shards();
    read_configs();
}

const Part * Model::find(std::string_view id) const {
    const auto found = parts_.find(id);
    return found == parts_.end() ? nullptr : &found->second;
}

const Part & Model::need(std::string_view id) const {
    const Part * part = find(id);
    for (const PartRow & row : part_rows())
        if (!part && row.id == id)
            fail_missing({&row});
    return *part;
}

void Model::need_all() const {
    std::vector<const PartRow *> missing;
    for (const PartRow & row : part_rows())
        if (row.need == Need::always && !find(row.id))
            missing.push_back(&row);
    if (!missing.empty())
        fail_missing(missing);
}

void Model::fail_missing(const std::vector<const PartRow *> & missing) const {
    std::string given, titles, sources;
    for (const ModelFile & file : files_)
        given += (given.empty() ? "" : ", ") + file.path;
    for (const PartRow * row : missing) {
        titles += (titles.empty() ? "" : ", ") + std::string(row->title);
        if (sources.find(row->source) == std::string::npos)
            sources += (sources.empty() ? "" : "; and ") + std::string(row->source);
    }
    fail(LTX2_STATUS_MODEL, "model: no %s in %s; give %s", titles.c_str(),
         given.empty() ? "the files given" : given.c_str(), sources.c_str());
}

// ---- files

// In a folder, what is no part of a video is passed over; a file that was asked for must be one.
void Model::add(const std::string & path, bool asked_for) {
    if (!seen_.insert(resolved(path)).second)
        return;
    files_.push_back(read_model_file(path));
    const ModelFile & file = files_.back();
    const Naming naming(file);
    std::string problem;
    if (naming.lora)
        problem = "is a LoRA, which is not supported";
    else if (naming.gemma && file.is_gguf() && text_of(file, "general.architecture") != "gemma3")
        problem = "has the architecture \"" + text_of(file, "general.architecture") +
                  "\"; the text encoder is Gemma 3, \"gemma3\"";
    if (naming.gemma && !file.is_gguf()) {
        const std::vector<std::string> shards = shards_beside(path);
        if (!shards.empty() && !std::binary_search(shards.begin(), shards.end(), file_name(path)))
            problem = "is not among the files of model.safetensors.index.json";
    }
    const Json * parts = file.metadata.find("split.count");
    if (problem.empty() && parts && parts->integer(path + ": split.count") > 1)
        fail(LTX2_STATUS_MODEL, "%s: is one of several parts; join them with llama-gguf-split",
             path.c_str());
    const auto count = [&] {
        size_t tensors = 0;
        for (const auto & [id, part] : parts_)
            tensors += part.tensors.size();
        return tensors;
    };
    const size_t before = count();
    if (problem.empty()) {
        add_tensors(file, naming);
        if (count() > before)
            return;
        problem = naming.audio ? "holds sound alone, which is not used"
                               : "holds no part of LTX-2.3 that is known";
        if (naming.gemma)
            return; // a shard of pictures
    }
    if (asked_for && !naming.audio)
        fail(LTX2_STATUS_MODEL, "%s: %s", path.c_str(), problem.c_str());
    log(Level::info, "%s: passed over: %s", path.c_str(), problem.c_str());
    files_.pop_back();
}

// Two files may not hold the same part; the files of one folder hold a text encoder together.
Part & Model::claim(const PartRow & row, const ModelFile & file) {
    const auto [at, fresh] = parts_.try_emplace(row.id);
    Part & part = at->second;
    const bool shared = row.many_files && !file.is_gguf();
    const std::string whole = shared ? folder_of(resolved(file.path)) : file.path;
    if (!fresh && part.whole != whole)
        fail(LTX2_STATUS_MODEL, "%s: holds a %s, and so does %s; give one of them",
             file.path.c_str(), row.title, part.file->path.c_str());
    if (fresh)
        part.row = &row, part.file = &file, part.whole = whole;
    return part;
}

// ComfyUI-GGUF reshapes what its quantisation cannot take, and keeps the shape in the metadata.
static std::map<std::string_view, const Json *> stated_shapes(const ModelFile & file) {
    const std::string_view prefix = "comfy.gguf.orig_shape.";
    std::map<std::string_view, const Json *> shapes;
    for (const auto & [key, value] : file.metadata.object(file.path + ": metadata"))
        if (key.compare(0, prefix.size(), prefix) == 0)
            shapes[std::string_view(key).substr(prefix.size())] = &value;
    return shapes;
}

static std::vector<int64_t> stated_shape(const Json & value, const TensorInfo & info,
                                         const std::string & path) {
    const std::string what = path + ": comfy.gguf.orig_shape." + info.name;
    std::vector<int64_t> shape;
    for (const Json & n : value.array(what))
        shape.push_back(std::max<int64_t>(0, n.integer(what)));
    uint64_t elements = 0;
    if (shape.size() > 8 || !count_elements(shape, elements) ||
        elements != static_cast<uint64_t>(info.elements()))
        fail(LTX2_STATUS_MODEL, "%s: does not hold the tensor's %lld values", what.c_str(),
             static_cast<long long>(info.elements()));
    return shape;
}

void Model::add_tensors(const ModelFile & file, const Naming & naming) {
    const auto shapes = stated_shapes(file);
    for (const TensorInfo & tensor : file.tensors) {
        const Place place = naming.place(tensor.name);
        if (!place.part)
            continue;
        Part & part = claim(*place.part, file);
        const TensorInfo * info = &tensor;
        const auto stated = shapes.find(tensor.name);
        if (stated != shapes.end()) {
            reshaped_.push_back(tensor);
            reshaped_.back().shape = stated_shape(*stated->second, tensor, file.path);
            info = &reshaped_.back();
        }
        const auto [at, added] =
            part.tensors.emplace(place.name, Source{info, file.mapping, file.path, place.added});
        if (!added)
            fail(LTX2_STATUS_MODEL, "%s: tensor %s: %s holds it as well", file.path.c_str(),
                 tensor.name.c_str(), at->second.path.c_str());
        if (tensor.type == GGML_TYPE_COUNT)
            fail(LTX2_STATUS_MODEL, "%s: tensor %s is %s, which is not computed with",
                 file.path.c_str(), tensor.name.c_str(), tensor.dtype.c_str());
    }
}

// ---- is it LTX-2.3, and all of it

void Model::check_versions() const {
    const auto find_tensor = [&](std::string_view name) -> const Source * {
        for (const auto & [id, part] : parts_)
            if (const auto at = part.tensors.find(name); at != part.tensors.end())
                return &at->second;
        return nullptr;
    };
    const auto refuse_if = [](const Source * source, const char * version, const char * sign) {
        if (source)
            fail(LTX2_STATUS_MODEL, "%s: is LTX-%s (%s), which is not supported; LTX-2.3 is",
                 source->path.c_str(), version, sign);
    };
    const char * position = "keyframes_abs_pos_embedding";
    refuse_if(find_tensor(position), "2.5", position);
    if (!find_tensor("transformer_blocks.0.ff.net.0.proj.bias"))
        refuse_if(find_tensor("transformer_blocks.0.ff.net.0.proj.weight"), "2.5",
                  "feed-forward without a bias");
    const char * old = "2.0 or older";
    for (const char * name :
         {"caption_projection.linear_1.weight", "text_embedding_projection.aggregate_embed.weight"})
        refuse_if(find_tensor(name), old, name);
    const Source * table = find_tensor("transformer_blocks.0.scale_shift_table");
    if (table && table->info->shape.size() == 2 && table->info->shape[0] == 6)
        refuse_if(table, old, "six rows of modulation");
    for (const ModelFile & file : files_) {
        const std::string version = text_of(file, "model_version");
        if (!version.empty() && version.compare(0, 3, "2.3") != 0)
            fail(LTX2_STATUS_MODEL, "%s: states model_version %s; LTX-2.3 is supported",
                 file.path.c_str(), version.c_str());
    }
}

// A text encoder in several files is whole, or says which is missing.
void Model::check_shards() const {
    for (const auto & [id, part] : parts_) {
        if (!part.row->many_files || part.file->is_gguf())
            continue;
        const std::string & path = part.file->path;
        for (const std::string & shard : shards_beside(path))
            if (!seen_.count(resolved(beside(path, shard))))
                fail(LTX2_STATUS_MODEL, "%s: %s, which belongs to it, is missing; give the folder",
                     path.c_str(), shard.c_str());
    }
}

// ---- what files state

// A group is taken from the part's own file, else from that of the first part that states it, else
// from the table of LTX-2.3.
void Model::read_configs() {
    std::map<const ModelFile *, Json> stated;
    for (const ModelFile & file : files_) {
        const std::string text = text_of(file, "config"), what = file.path + ": config";
        Json & config = stated[&file] = Json(Json::Object());
        if (text.empty())
            continue;
        config = Json::parse(text, what);
        config.object(what);
    }
    const Json table = Json::parse(ltx23_config, "the built-in config of LTX-2.3");
    const auto state = [&](Part & part, const char * group, const ModelFile & file) {
        const Json * value = stated[&file].find(group);
        if (!value || value->kind() == Json::Kind::null)
            return false;
        value->object(file.path + ": config " + group);
        part.config.set(group, *value);
        part.config_path = file.path;
        return true;
    };
    for (auto & [id, part] : parts_)
        for (const char * group : part.row->groups) {
            bool found = state(part, group, *part.file);
            for (const PartRow & row : part_rows())
                if (const Part * other = find(row.id); other && !found)
                    found = state(part, group, *other->file);
            if (found || !table.find(group))
                continue;
            part.config.set(group, *table.find(group));
            part.config_path = part.file->path;
            log(Level::info, "%s: states no config of its %s; LTX-2.3's is taken",
                part.file->path.c_str(), part.row->title);
        }
}

} // namespace ltx2
