// A text encoder: tokens -> hidden states; and, as the language model that it is, -> what comes
// next. Which one a model has is read off its part.
#pragma once

#include "base/progress.h"
#include "graph/device.h"
#include "model/model.h"

namespace ltx2 {

// The residual stream of each token, after the embedding and after every layer. They stay on the
// device: of 1024 tokens of Gemma 3 12B they take 770 MB.
struct HiddenStates {
    int states = 0; // layers + 1
    int64_t tokens = 0, width = 0;
    Kept values; // [width, tokens, states]

    Tensor state(Nodes & g, int which) const; // a view, [width, tokens]
};

// What every layer keeps of the tokens that were read, so that a further one costs itself alone.
struct TextCache {
    struct Layer {
        // [width, rows], as they are looked at; token t lies in row t % rows, so that where fewer
        // are looked at than there may be, the last ones are there.
        Kept keys, values;
    };
    std::vector<Layer> layers;
    int64_t tokens = 0, room = 0; // read so far; of so many
};

class TextEncoder {
public:
    static constexpr const char * part = "text_encoder";

    virtual ~TextEncoder() = default;
    virtual int states() const = 0; // that it gives: layers + 1
    virtual int64_t width() const = 0;
    virtual uint64_t weights() const = 0;             // bytes that it loads
    virtual void load(const Progress & progress) = 0; // OUT_OF_MEMORY, CANCELLED
    // Reports stage "text". Errors: MODEL (a token outside the vocabulary), OUT_OF_MEMORY,
    // CANCELLED.
    virtual HiddenStates encode(const std::vector<int32_t> & tokens, const Progress & progress) = 0;

    // ---- of one that was opened to write
    virtual bool writes() const = 0;
    virtual TextCache cache(int64_t room) const = 0; // empty. OUT_OF_MEMORY
    // Reads the tokens after those of the cache, the first time many, then one by one. Gives the
    // logits of the next one, by token. Reports stage "enhance", in tokens. Errors as encode().
    virtual std::vector<float> predict(const std::vector<int32_t> & tokens, TextCache & cache,
                                       const Progress & progress) = 0;
};

// The encoder of the model's architecture. Checks its config and every tensor; reads no weights. To
// write, which takes the embedding as one more matrix, if it `writes`. MODEL.
std::unique_ptr<TextEncoder> open_text_encoder(const Model & model, Device & device,
                                               bool writes = false);

} // namespace ltx2
