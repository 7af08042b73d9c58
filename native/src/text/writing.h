// Text from a language model, token by token: which one comes next, and when it has come to its
// end.
#pragma once

#include "text/tokenizer.h"

#include <functional>

namespace ltx2 {

struct Writing {
    float temperature = 0.7f; // 0: always the likeliest token
    int top_k = 50;           // of so many, the likeliest, one is drawn
    int tokens = 512;         // at most
    uint64_t seed = 0;
};

// Token number `index`: the same for the same logits, seed and index.
int32_t choose_token(const std::vector<float> & logits, const Writing & how, uint64_t index);

// What comes next after the tokens that are read now and those before.
using PredictFn = std::function<std::vector<float>(const std::vector<int32_t> & tokens)>;

// The text after `prompt`, up to the end of the turn; `tell` gets each piece of it as it comes,
// whole characters.
std::string write(const std::vector<int32_t> & prompt, const Writing & how,
                  const Tokenizer & tokenizer, const PredictFn & predict,
                  const std::function<void(const std::string & piece)> & tell);

} // namespace ltx2
