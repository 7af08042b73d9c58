#include "model/model.h"

#include "base/log.h"
#include "files/config.h"
#include "files/paths.h"
#include "model/builtin/ltx_2_3.h"
#include "sampling/geometry.h"
#include "text/gemma3_config.h"

#include <algorithm>
#include <cmath>

namespace ltx2 {

static constexpr const char * checkpoint_source =
    "an LTX-2.3 checkpoint: the official .safetensors, or the .gguf `ltx2 convert` makes of it";
static constexpr const char * gemma_source = "Gemma 3 12B: a .gguf, or its Hugging Face folder";

// What goes wrong inside is the file's fault, and its name is put before the words.
template <class Body>
static auto in_file(const std::string & path, Body body) {
    try {
        return body();
    } catch (const Error & e) {
        fail(LTX2_STATUS_MODEL, "%s: %s", path.c_str(), e.what());
    }
}

static std::string text_of(const ModelFile & file, const char * key) {
    const Json * value = file.metadata.find(key);
    return value ? value->string(file.path + ": " + key) : "";
}

static bool is_gguf(const ModelFile & file) { return file.format.compare(0, 4, "GGUF") == 0; }

ModelSet::ModelSet(const std::vector<std::string> & paths) {
    if (paths.empty())
        fail(LTX2_STATUS_INVALID_ARGUMENT, "files: none given");
    for (const std::string & path : paths) {
        const bool folder = is_folder(path);
        for (const std::string & file : model_files(path))
            add(file, !folder);
    }
    check_versions();
    check_roles();
    gemma_ = gemma_config(*owner(Role::text_encoder).file);
    check_text_encoder();
    read_config();
    check_counts();
    read_text_length();
    read_defaults();
}

// ---- files

// In a folder, what is no part of a video is passed over; a file that was asked for must be one.
void ModelSet::add(const std::string & path, bool asked_for) {
    if (!seen_.insert(resolved(path)).second)
        return;
    files_.push_back(read_model_file(path));
    const ModelFile & file = files_.back();
    const Naming naming(file);
    std::string problem;
    if (naming.lora)
        problem = "is a LoRA, which is not supported";
    else if (naming.gemma && is_gguf(file) && text_of(file, "general.architecture") != "gemma3")
        problem = "has the architecture \"" + text_of(file, "general.architecture") +
                  "\"; the text encoder is Gemma 3, \"gemma3\"";
    if (naming.gemma && !is_gguf(file)) {
        const std::vector<std::string> shards = shards_beside(path);
        if (!shards.empty() && !std::binary_search(shards.begin(), shards.end(), file_name(path)))
            problem = "is not among the files of model.safetensors.index.json";
    }
    const Json * parts = file.metadata.find("split.count");
    if (problem.empty() && parts && parts->integer(path + ": split.count") > 1)
        fail(LTX2_STATUS_MODEL, "%s: is one of several parts; join them with llama-gguf-split",
             path.c_str());
    const size_t before = index_.size();
    if (problem.empty()) {
        add_tensors(file, naming);
        if (index_.size() > before)
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
void ModelSet::claim(Role role, const ModelFile & file) {
    Owner & owner = owners_[static_cast<size_t>(role)];
    const bool shared = role == Role::text_encoder && !is_gguf(file);
    const std::string whole = shared ? folder_of(resolved(file.path)) : file.path;
    if (owner.file && owner.whole != whole)
        fail(LTX2_STATUS_MODEL, "%s: holds a %s, and so does %s; give one of them",
             file.path.c_str(), role_words(role), owner.file->path.c_str());
    if (!owner.file)
        owner = {&file, whole};
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

void ModelSet::add_tensors(const ModelFile & file, const Naming & naming) {
    const auto shapes = stated_shapes(file);
    for (const TensorInfo & tensor : file.tensors) {
        const Place place = naming.place(tensor.name);
        if (place.role == Role::none)
            continue;
        claim(place.role, file);
        const TensorInfo * info = &tensor;
        const auto stated = shapes.find(tensor.name);
        if (stated != shapes.end()) {
            reshaped_.push_back(tensor);
            reshaped_.back().shape = stated_shape(*stated->second, tensor, file.path);
            info = &reshaped_.back();
        }
        const auto [at, added] =
            index_.emplace(place.name, Source{info, file.mapping, file.path, place.added});
        if (!added)
            fail(LTX2_STATUS_MODEL, "%s: tensor %s: %s holds it as well", file.path.c_str(),
                 tensor.name.c_str(), at->second.path.c_str());
        if (tensor.type == GGML_TYPE_COUNT)
            fail(LTX2_STATUS_MODEL, "%s: tensor %s is %s, which is not computed with",
                 file.path.c_str(), tensor.name.c_str(), tensor.dtype.c_str());
    }
}

// ---- is it LTX-2.3, and all of it

void ModelSet::check_versions() const {
    const auto refuse = [&](const char * name, const char * version, const char * sign) {
        fail(LTX2_STATUS_MODEL, "%s: is LTX-%s (%s), which is not supported; LTX-2.3 is",
             index_.find(name)->second.path.c_str(), version, sign);
    };
    const char * position = "keyframes_abs_pos_embedding";
    const char * widen = "transformer_blocks.0.ff.net.0.proj.weight";
    if (index_.count(position))
        refuse(position, "2.5", position);
    if (index_.count(widen) && !index_.count("transformer_blocks.0.ff.net.0.proj.bias"))
        refuse(widen, "2.5", "feed-forward without a bias");
    const char * old = "2.0 or older";
    for (const char * name :
         {"caption_projection.linear_1.weight", "text_embedding_projection.aggregate_embed.weight"})
        if (index_.count(name))
            refuse(name, old, name);
    const char * table = "transformer_blocks.0.scale_shift_table";
    const auto found = index_.find(table);
    if (found != index_.end() && found->second.info->shape.size() == 2 &&
        found->second.info->shape[0] == 6)
        refuse(table, old, "six rows of modulation");
    const ModelFile * file = owner(Role::dit).file;
    const std::string version = file ? text_of(*file, "model_version") : "";
    if (!version.empty() && version.compare(0, 3, "2.3") != 0)
        fail(LTX2_STATUS_MODEL, "%s: states model_version %s; LTX-2.3 is supported",
             file->path.c_str(), version.c_str());
}

void ModelSet::check_roles() const {
    std::string given;
    for (const ModelFile & file : files_)
        given += (given.empty() ? "" : ", ") + file.path;
    std::string missing;
    for (int i = 0; i < role_count; ++i)
        if (!owners_[static_cast<size_t>(i)].file)
            missing += std::string(missing.empty() ? "" : ", ") + role_words(Role(i));
    if (missing.empty())
        return;
    const bool checkpoint = !owner(Role::dit).file || !owner(Role::connector).file ||
                            !owner(Role::projection).file || !owner(Role::video_vae).file;
    const bool encoder = !owner(Role::text_encoder).file;
    fail(LTX2_STATUS_MODEL, "model: no %s in %s; give %s%s%s", missing.c_str(),
         given.empty() ? "the files given" : given.c_str(), checkpoint ? checkpoint_source : "",
         checkpoint && encoder ? "; and " : "", encoder ? gemma_source : "");
}

void ModelSet::check_text_encoder() const {
    const ModelFile & file = *owner(Role::text_encoder).file;
    if (!is_gguf(file))
        for (const std::string & shard : shards_beside(file.path))
            if (!seen_.count(resolved(beside(file.path, shard))))
                fail(LTX2_STATUS_MODEL, "%s: %s, which belongs to it, is missing; give the folder",
                     file.path.c_str(), shard.c_str());
    const auto need = [&](const std::string & name) {
        if (!index_.count(name))
            fail(LTX2_STATUS_MODEL, "%s: tensor %s is missing", file.path.c_str(), name.c_str());
    };
    need("token_embd.weight");
    need("output_norm.weight");
    for (int i = 0; i < gemma_.layers; ++i)
        need("blk." + std::to_string(i) + ".attn_q.weight");
    const std::vector<int64_t> & shape = index_.at("token_embd.weight").info->shape;
    if (shape.size() != 2 || shape[0] < 1 || shape[1] != gemma_.hidden)
        fail(LTX2_STATUS_MODEL, "%s: tensor token_embd.weight is not [vocabulary, %d]",
             file.path.c_str(), gemma_.hidden);
}

// ---- what files state

// The first file that states the group decides; a file without `config` states nothing.
void ModelSet::read_config() {
    std::map<const ModelFile *, Json> configs;
    for (int i = 0; i < static_cast<int>(Role::text_encoder); ++i) {
        const ModelFile * file = owners_[static_cast<size_t>(i)].file;
        const std::string text = configs.count(file) ? "" : text_of(*file, "config");
        if (!text.empty()) {
            configs[file] = Json::parse(text, file->path + ": config");
            configs[file].object(file->path + ": config");
        }
    }
    const auto take = [&](const char * group, std::initializer_list<Role> order) -> std::string {
        for (Role role : order) {
            const auto found = configs.find(owner(role).file);
            const Json * value = found == configs.end() ? nullptr : found->second.find(group);
            if (!value || value->kind() == Json::Kind::null)
                continue;
            value->object(owner(role).file->path + ": config " + group);
            config_.set(group, *value);
            return owner(role).file->path;
        }
        return "";
    };
    const auto dit = configs.find(owner(Role::dit).file);
    config_ = dit == configs.end() ? Json(Json::Object()) : dit->second;
    config_path_ = take("transformer", {Role::dit, Role::connector, Role::projection});
    const std::string vae = take("vae", {Role::video_vae, Role::dit});
    sampling_path_ = take("sampling", {Role::dit});
    if (sampling_path_.empty())
        sampling_path_ = owner(Role::dit).file->path;
    const Json table = Json::parse(ltx23_config, "the built-in config of LTX-2.3");
    if (config_path_.empty()) {
        config_path_ = owner(Role::dit).file->path;
        config_.set("transformer", *table.find("transformer"));
        log(Level::info, "%s: states no config; LTX-2.3's is taken", config_path_.c_str());
    }
    if (vae.empty())
        config_.set("vae", *table.find("vae"));
}

// The config against the tensors, where the parts' own constructors would not see a difference.
void ModelSet::check_counts() const {
    const Config t(config_, "transformer"), v(config_, "vae");
    const std::string & path = config_path_;
    const auto layers = in_file(path, [&] { return t.integer("num_layers", 48, 1, 512); });
    const auto refuse_more = [&](const char * prefix, int64_t count, const std::string & where) {
        const std::string next = prefix + std::to_string(count) + ".";
        const auto found = index_.lower_bound(next);
        if (found != index_.end() && found->first.compare(0, next.size(), next) == 0)
            fail(LTX2_STATUS_MODEL, "%s: has %s, and %s states %lld layers",
                 found->second.path.c_str(), found->first.c_str(), where.c_str(),
                 static_cast<long long>(count));
    };
    refuse_more("transformer_blocks.", layers, "config transformer.num_layers");
    refuse_more("blk.", gemma_.layers, "its config");
    refuse_more("video_embeddings_connector.transformer_1d_blocks.",
                in_file(path, [&] { return t.integer("connector_num_layers", 2, 1, 256); }),
                "config transformer.connector_num_layers");
    const auto channels = in_file(path, [&] { return t.integer("in_channels", 128, 1, 4096); });
    const std::string & vae = owner(Role::video_vae).file->path;
    const auto latent = in_file(vae, [&] { return v.integer("latent_channels", 128, 1, 4096); });
    if (channels != latent)
        fail(LTX2_STATUS_MODEL,
             "%s: the video VAE has latents of %lld channels, and the diffusion "
             "transformer takes %lld",
             vae.c_str(), static_cast<long long>(latent), static_cast<long long>(channels));
    const char * projection = "text_embedding_projection.video_aggregate_embed.weight";
    const auto found = index_.find(projection);
    const int64_t wide = int64_t{gemma_.hidden} * (gemma_.layers + 1);
    if (found != index_.end() && found->second.info->shape.size() == 2 &&
        found->second.info->shape[1] != wide)
        fail(LTX2_STATUS_MODEL,
             "%s: has %d layers of %d, and %s wants another text encoder; "
             "LTX-2.3 has Gemma 3 12B, 48 layers of 3840",
             owner(Role::text_encoder).file->path.c_str(), gemma_.layers, gemma_.hidden,
             found->second.path.c_str());
}

void ModelSet::read_text_length() {
    const auto found = index_.find("video_embeddings_connector.learnable_registers");
    const std::string & path = owner(Role::connector).file->path;
    if (found == index_.end() || found->second.info->shape.size() != 2 ||
        found->second.info->shape[0] < 1)
        fail(LTX2_STATUS_MODEL, "%s: has no learnable_registers", path.c_str());
    const int64_t registers = found->second.info->shape[0];
    in_file(config_path_, [&] {
        const Config t(config_, "transformer");
        text_length_ = static_cast<int>(t.integer("connector_text_length", 1024, 1, 16384));
        const int64_t stated = t.integer("connector_num_learnable_registers", registers, 1, 16384);
        if (stated != registers)
            fail(LTX2_STATUS_MODEL,
                 "config transformer.connector_num_learnable_registers: %lld, "
                 "and the file has %lld",
                 static_cast<long long>(stated), static_cast<long long>(registers));
        if (text_length_ % registers)
            fail(LTX2_STATUS_MODEL,
                 "config transformer.connector_text_length: %d is no multiple "
                 "of the %lld registers",
                 text_length_, static_cast<long long>(registers));
    });
}

// A number of config's `sampling` that is not negative and that a caller might have given.
static float amount(const Config & sampling, const char * key, float otherwise) {
    const double value = sampling.number(key, otherwise);
    if (!(value >= 0 && value <= 100))
        fail(LTX2_STATUS_MODEL, "config sampling.%s: %g is not in 0..100", key, value);
    return static_cast<float>(value);
}

static std::vector<int> stg_blocks(const Config & sampling, const std::vector<int> & usual,
                                   int layers) {
    const bool stated = sampling.has("stg_blocks");
    std::vector<int> blocks;
    for (double block : sampling.numbers("stg_blocks", {usual.begin(), usual.end()})) {
        const bool fits = block >= 0 && block < layers && block == std::floor(block);
        if (fits)
            blocks.push_back(static_cast<int>(block));
        else if (stated)
            fail(LTX2_STATUS_MODEL, "config sampling.stg_blocks: %g is not in 0..%d", block,
                 layers - 1);
    }
    return blocks;
}

static bool says_distilled(std::string name) {
    std::transform(name.begin(), name.end(), name.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    return name.find("distilled") != std::string::npos;
}

// Nothing in the tensors tells a distilled model apart: the config does, or else the file's name.
static Sampling read_sampling(const Config & c, const std::string & dit_file, int layers) {
    Sampling s;
    s.schedule = c.text("schedule", says_distilled(dit_file) ? "distilled" : "ltx2");
    if (s.schedule == "distilled")
        s = {s.schedule, 8, 1, 0, 0, s.stg_blocks};
    s.steps = static_cast<int>(c.integer("steps", s.steps, 1, 1000));
    s.guidance = amount(c, "guidance", s.guidance);
    s.stg = amount(c, "stg", s.stg);
    s.rescale = amount(c, "rescale", s.rescale);
    s.stg_blocks = stg_blocks(c, s.stg_blocks, layers);
    sigmas(s.schedule, s.steps); // a schedule that does not exist is refused here
    return s;
}

void ModelSet::read_defaults() {
    in_file(sampling_path_, [&] {
        ModelDefaults & d = defaults_;
        const Config transformer(config_, "transformer"), c(config_, "sampling");
        const int layers = static_cast<int>(transformer.integer("num_layers", 48, 1, 512));
        d.latent_channels = static_cast<int>(transformer.integer("in_channels", 128, 1, 4096));
        d.sampling = read_sampling(c, file_name(owner(Role::dit).file->path), layers);
        const int most = 1 << 15;
        d.width = static_cast<int>(c.integer("width", d.width, 1, most));
        d.height = static_cast<int>(c.integer("height", d.height, 1, most));
        d.frames = static_cast<int>(c.integer("frames", d.frames, 1, 1 << 20));
        d.fps = static_cast<float>(c.number("fps", d.fps));
        Geometry(d.width, d.height, d.frames, d.fps, d.latent_channels); // refuses what cannot be
    });
}

// ---- the tokenizer

Tokenizer ModelSet::tokenizer() const {
    const ModelFile & file = *owner(Role::text_encoder).file;
    if (is_gguf(file))
        return Tokenizer::from_gguf(file.metadata, file.path);
    if (const TensorInfo * pieces = file.find("spiece_model"))
        return Tokenizer::from_sentencepiece(
            {reinterpret_cast<const char *>(pieces->data), pieces->size}, file.path);
    const std::string json = beside(file.path, "tokenizer.json");
    if (exists(json))
        return Tokenizer::from_json(read_json(json), json);
    const std::string pieces = beside(file.path, "tokenizer.model");
    if (!exists(pieces))
        fail(LTX2_STATUS_MODEL, "%s: there is no tokenizer.json or tokenizer.model beside it",
             file.path.c_str());
    const Mapping mapping(pieces);
    return Tokenizer::from_sentencepiece(
        {reinterpret_cast<const char *>(mapping.data()), mapping.size()}, pieces);
}

} // namespace ltx2
