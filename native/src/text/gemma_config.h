// The sizes of a Gemma text model, 3 or 4, from wherever its file keeps them.
#pragma once

#include "files/tensor_file.h"

namespace ltx2 {

struct GemmaConfig {
    std::string architecture = "gemma3"; // or "gemma4"; as a GGUF calls it
    int layers = 0, heads = 0, kv_heads = 0, head_dim = 256, hidden = 0, ffn = 0;
    int global_kv_heads = 0, global_head_dim = 0; // of layers that are global
    int context = 1 << 17, sliding_window = 0;    // tokens; the first is stated, not a bound here
    // One per layer: attends to all tokens before, and rotates by rope_base / rope_factor.
    std::vector<bool> is_global;
    float eps = 1e-6f;
    float scale = 0; // of the attention scores, applied once
    double rope_base = 1e6, rope_base_local = 1e4, rope_factor = 8;
    double rotated = 1;     // the share of a global head's pairs that are, the first ones
    float logit_cap = 0;    // logits are cap * tanh(logit / cap); 0: as they are
    std::string version;    // what LTX calls an encoder that it trained further; empty: not stated
    bool is_gemma4 = false; // values are normed, and a global layer may take its keys for them

    int kv_heads_of(size_t layer) const { return is_global[layer] ? global_kv_heads : kv_heads; }
    int head_dim_of(size_t layer) const { return is_global[layer] ? global_head_dim : head_dim; }
};

// From the gemma3.* or gemma4.* keys of a GGUF, else the file's own `gemma_config`, else the
// config.json next to it, else, in a file that carries its own tokenizer, the 12B model's. MODEL
// naming the file and the key: missing, out of bounds, or a variant of the architecture that is
// not supported.
GemmaConfig gemma_config(const TensorFile & file);

// The keys by which a GGUF states the same, added to `metadata`. MODEL with `what` in its words
// where they cannot say which layers are global.
void put_gguf_keys(const GemmaConfig & config, const std::string & what, Json & metadata);

} // namespace ltx2
