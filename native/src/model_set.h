// A model is a set of files: paths -> which file holds which role -> one index of tensors by the
// reference's names. Reads metadata only.
#pragma once

#include "gemma_config.h"
#include "sampler.h"
#include "tokenizer.h"
#include "weights.h"

#include <deque>

namespace ltx2 {

struct ModelDefaults {
    int width = 768, height = 512, frames = 121;
    float fps = 24;
    int latent_channels = 128;
    Sampling sampling;
};

class ModelSet {
public:
    // Files, or folders of them: a folder stands for its *.gguf and *.safetensors files and for
    // those of the folders inside it. Each file says what it holds, by metadata or by its tensors'
    // names. Errors: MODEL naming the file: unreadable, not LTX-2.3, a role twice or missing.
    explicit ModelSet(const std::vector<std::string> & paths);

    // Names: the official ones, the DiT's without `model.diffusion_model.`; llama.cpp's for Gemma.
    const Index & index() const { return index_; }
    const Json & config() const { return config_; } // the checkpoint's
    const GemmaConfig & gemma() const { return gemma_; }
    const ModelDefaults & defaults() const { return defaults_; }
    int text_length() const; // rows the connector gives
    Tokenizer tokenizer() const;

private:
    void add(const std::string & path);
    void add_tensor(const ModelFile & file, const TensorInfo & info, bool gemma);
    void check_roles() const;
    void read_config();
    void read_defaults();

    std::deque<ModelFile> files_; // tensors are pointed at
    Index index_;
    Json config_;
    GemmaConfig gemma_;
    ModelDefaults defaults_;
    const ModelFile * text_encoder_ = nullptr;
    bool distilled_ = false;
};

} // namespace ltx2
