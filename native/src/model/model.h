// A model is a set of files: paths -> which file holds which part -> one index of tensors by the
// reference's names, and the numbers that files state about themselves. Reads metadata only.
#pragma once

#include "graph/weights.h"
#include "model/parts.h"
#include "sampling/denoise.h"
#include "text/gemma3_config.h"
#include "text/tokenizer.h"

#include <array>
#include <deque>
#include <set>

namespace ltx2 {

// What the model itself wants: config's `sampling` group, else what its kind is known for.
struct ModelDefaults {
    int width = 768, height = 512, frames = 121;
    float fps = 24;
    int latent_channels = 128;
    Sampling sampling; // without blocks to perturb where the model has fewer than the default's
};

class ModelSet {
public:
    // Files, or folders of them: a folder stands for its *.gguf and *.safetensors files and for
    // those of the folders inside it. Each file says what it holds, by metadata or by its tensors'
    // names. Errors: MODEL naming the file: unreadable, not LTX-2.3, a part twice or missing.
    explicit ModelSet(const std::vector<std::string> & paths);

    // Names: the official ones, the DiT's without `model.diffusion_model.`; llama.cpp's for Gemma.
    const Index & index() const { return index_; }
    const Json & config() const { return config_; } // the checkpoint's; LTX-2.3's where it has none
    const GemmaConfig & gemma() const { return gemma_; }
    const ModelDefaults & defaults() const { return defaults_; }
    int text_length() const { return text_length_; } // rows the connector gives
    Tokenizer tokenizer() const;                     // half a second with Gemma's vocabulary

private:
    // Who holds a part: a file, or the folder of a text encoder in several files.
    struct Owner {
        const ModelFile * file = nullptr;
        std::string whole;
    };
    const Owner & owner(Role role) const { return owners_[static_cast<size_t>(role)]; }
    void add(const std::string & path, bool asked_for);
    void add_tensors(const ModelFile & file, const Naming & naming);
    void claim(Role role, const ModelFile & file);
    void check_versions() const;
    void check_roles() const;
    void read_config();
    void check_counts() const;
    void check_text_encoder() const;
    void read_text_length();
    void read_defaults();

    std::deque<ModelFile> files_; // tensors are pointed at
    std::deque<TensorInfo> reshaped_;
    std::set<std::string> seen_; // files, however they were named
    std::array<Owner, role_count> owners_;
    Index index_;
    Json config_;
    std::string config_path_, sampling_path_; // for messages
    GemmaConfig gemma_;
    ModelDefaults defaults_;
    int text_length_ = 0;
};

} // namespace ltx2
