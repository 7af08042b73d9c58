#include "model_set.h"

#include "config.h"
#include "log.h"
#include "model_names.h"
#include "model_tables.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace ltx2 {

namespace fs = std::filesystem;

static bool is_model_file(const fs::path & path) {
    return path.extension() == ".gguf" || path.extension() == ".safetensors";
}

// The model files of a path, in the order of their names; folders one level down are looked into.
static std::vector<std::string> files_of(const std::string & path) {
    std::error_code error;
    if (!fs::is_directory(path, error))
        return {path};
    std::vector<std::string> found;
    const auto look = [&](const fs::path & folder) {
        for (const fs::directory_entry & entry : fs::directory_iterator(folder, error))
            if (is_model_file(entry.path()))
                found.push_back(entry.path().string());
    };
    look(path);
    for (const fs::directory_entry & entry : fs::directory_iterator(path, error))
        if (entry.is_directory(error))
            look(entry.path());
    if (found.empty())
        fail(LTX2_STATUS_MODEL, "%s: holds no .gguf or .safetensors file", path.c_str());
    std::sort(found.begin(), found.end());
    return found;
}

ModelSet::ModelSet(const std::vector<std::string> & paths) {
    for (const std::string & path : paths)
        for (const std::string & file : files_of(path))
            add(file);
    check_roles();
    read_config();
    gemma_ = gemma_config(*text_encoder_, index_);
    read_defaults();
}

void ModelSet::add(const std::string & path) {
    files_.push_back(read_model_file(path));
    const ModelFile & file = files_.back();
    const Json * architecture = file.metadata.find("general.architecture");
    const bool gemma =
        architecture && architecture->kind() == Json::Kind::string
            ? architecture->string(path) == "gemma3"
            : std::any_of(file.tensors.begin(), file.tensors.end(),
                          [](const TensorInfo & t) { return is_gemma_name(t.name); });
    for (const TensorInfo & info : file.tensors)
        add_tensor(file, info, gemma);
    if (gemma && !text_encoder_)
        text_encoder_ = &file;
    if (!gemma && fs::path(path).filename().string().find("distilled") != std::string::npos)
        distilled_ = true;
}

void ModelSet::add_tensor(const ModelFile & file, const TensorInfo & info, bool gemma) {
    Source source{&info, file.mapping, file.path, 0};
    const std::string name =
        gemma ? gemma_name(info.name, source.added) : checkpoint_name(info.name);
    if (name.empty())
        return;
    if (name == "keyframes_abs_pos_embedding")
        fail(LTX2_STATUS_MODEL, "%s: is LTX-2.5, which is not supported; LTX-2.3 is",
             file.path.c_str());
    if (name.rfind("caption_projection.", 0) == 0 ||
        name == "text_embedding_projection.aggregate_embed.weight")
        fail(LTX2_STATUS_MODEL, "%s: is LTX-2.0, which is not supported; LTX-2.3 is",
             file.path.c_str());
    const auto inserted = index_.emplace(name, source);
    if (!inserted.second)
        fail(LTX2_STATUS_MODEL, "%s: holds %s, and so does %s; give one of them", file.path.c_str(),
             name.c_str(), inserted.first->second.path.c_str());
}

void ModelSet::check_roles() const {
    struct Role {
        const char * name;
        const char * tensor;
        const char * source;
    };
    const char * checkpoint = "an LTX-2.3 checkpoint (.safetensors, or .gguf made by ltx2 convert)";
    const char * gemma = "a Gemma 3 12B folder or .gguf";
    const Role roles[] = {
        {"the diffusion transformer", "patchify_proj.weight", checkpoint},
        {"the text connector", "video_embeddings_connector.learnable_registers", checkpoint},
        {"the text projection", "text_embedding_projection.video_aggregate_embed.weight",
         checkpoint},
        {"the video VAE", "vae.decoder.conv_in.conv.weight", checkpoint},
        {"the text encoder", "token_embd.weight", gemma},
    };
    std::string missing;
    for (const Role & role : roles)
        if (!index_.count(role.tensor))
            missing += words("%s%s (from %s)", missing.empty() ? "" : ", ", role.name, role.source);
    std::string given;
    for (const ModelFile & file : files_)
        given += (given.empty() ? "" : ", ") + file.path;
    if (!missing.empty() || !text_encoder_)
        fail(LTX2_STATUS_MODEL, "model: %s %s missing; given: %s",
             missing.empty() ? "the text encoder" : missing.c_str(),
             missing.find("), ") == std::string::npos ? "is" : "are", given.c_str());
}

void ModelSet::read_config() {
    for (const ModelFile & file : files_) {
        const Json * version = file.metadata.find("model_version");
        if (version && version->kind() == Json::Kind::string &&
            version->string(file.path).rfind("2.3", 0) != 0)
            fail(LTX2_STATUS_MODEL, "%s: states model_version %s; LTX-2.3 is supported",
                 file.path.c_str(), version->string(file.path).c_str());
        const Json * text = file.metadata.find("config");
        if (text && &file != text_encoder_ && config_.kind() == Json::Kind::null)
            config_ = Json::parse(text->string(file.path + ": config"), file.path + ": config");
    }
    if (config_.kind() == Json::Kind::null) {
        log(Level::info, "model: no file states its config; the one of LTX-2.3 is taken");
        config_ = Json::parse(ltx23_config, "the built-in config of LTX-2.3");
    }
    config_.object("config");
}

void ModelSet::read_defaults() {
    ModelDefaults & d = defaults_;
    const Config transformer(config_, "transformer"), sampling(config_, "sampling");
    const int layers = static_cast<int>(transformer.integer("num_layers", 48, 1, 512));
    d.latent_channels = static_cast<int>(transformer.integer("in_channels", 128, 1, 4096));
    Sampling & s = d.sampling;
    s.schedule = sampling.text("schedule", distilled_ ? "distilled" : "ltx2");
    if (s.schedule == "distilled") {
        s.steps = 8;
        s.guidance = 1;
        s.stg = s.rescale = 0;
    }
    s.steps = static_cast<int>(sampling.integer("steps", s.steps, 1, 1000));
    s.guidance = static_cast<float>(sampling.number("guidance", s.guidance));
    s.stg = static_cast<float>(sampling.number("stg", s.stg));
    s.rescale = static_cast<float>(sampling.number("rescale", s.rescale));
    std::vector<int> blocks;
    const std::vector<double> usual(s.stg_blocks.begin(), s.stg_blocks.end());
    for (double block : sampling.numbers("stg_blocks", usual)) {
        if (block >= 0 && block < layers)
            blocks.push_back(static_cast<int>(block));
        else if (sampling.has("stg_blocks"))
            fail(LTX2_STATUS_MODEL, "config sampling.stg_blocks: %g is not in 0..%d", block,
                 layers - 1);
    }
    s.stg_blocks = blocks;
    d.width = static_cast<int>(sampling.integer("width", d.width, 32, 8192));
    d.height = static_cast<int>(sampling.integer("height", d.height, 32, 8192));
    d.frames = static_cast<int>(sampling.integer("frames", d.frames, 1, 4097));
    d.fps = static_cast<float>(sampling.number("fps", d.fps));
    sigmas(s.schedule, s.steps); // a schedule that does not exist is refused here
}

int ModelSet::text_length() const {
    return static_cast<int>(
        Config(config_, "transformer").integer("connector_text_length", 1024, 1, 16384));
}

Tokenizer ModelSet::tokenizer() const {
    const ModelFile & file = *text_encoder_;
    if (file.metadata.find("tokenizer.ggml.tokens"))
        return Tokenizer::from_gguf(file.metadata, file.path);
    const fs::path folder = fs::path(file.path).parent_path();
    const std::string json = (folder / "tokenizer.json").string();
    const std::string pieces = (folder / "tokenizer.model").string();
    std::error_code error;
    const bool has_json = fs::exists(json, error);
    if (!has_json && !fs::exists(pieces, error))
        fail(LTX2_STATUS_MODEL, "%s: there is no tokenizer.json or tokenizer.model beside it",
             file.path.c_str());
    const Mapping mapping(has_json ? json : pieces);
    const std::string_view bytes(reinterpret_cast<const char *>(mapping.data()), mapping.size());
    return has_json ? Tokenizer::from_json(Json::parse(bytes, json), json)
                    : Tokenizer::from_sentencepiece(bytes, pieces);
}

} // namespace ltx2
