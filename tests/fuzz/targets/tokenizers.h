// What is done with a tokenizer once it is read, from whichever source.
#pragma once

#include "fuzz.h"
#include "memory.h"
#include "text/tokenizer.h"
#include "text/tokenizer_parts.h"

// Prompts that have been awkward to some tokenizer; the vocabulary's own pieces are added.
inline std::vector<std::string> prompts(const std::vector<std::string> & own) {
    std::string all;
    for (const std::string & piece : own)
        if (all.size() < 4096)
            all += piece;
    return {all,
            "",
            "a red circle moves right",
            " \xe2\x96\x81 <bos><eos>\n\n\t<image_soft_token> x  y",
            "\xf0\x9f\x98\x80\xef\xbf\xbd \xc2\xa0\xe3\x80\x80 \x01\x7f",
            std::string(2000, 'a'),
            std::string(2000, ' ')};
}

// `size` is the input's: a large one, which is rare, is asked for the longest prompt too.
inline void use(const ltx2::Tokenizer & tokenizer, size_t size,
                const std::vector<std::string> & own = {}) {
    const UncountedMemory prompt; // what it takes is the prompt's
    if (size >= 1 << 16)
        tokenizer.encode(std::string(ltx2::longest_prompt, 'a'), 1 << 20);
    for (const std::string & prompt : prompts(own))
        for (const int most : {1, 64, 16384})
            try {
                const std::vector<int32_t> ids = tokenizer.encode(prompt, most);
                if (ids.empty() || ids.size() > static_cast<size_t>(most))
                    finding("%zu tokens of at most %d", ids.size(), most);
                for (const int32_t id : ids)
                    if (id < 0 || static_cast<size_t>(id) >= tokenizer.size())
                        finding("token %d of %zu", id, tokenizer.size());
            } catch (const ltx2::Error & e) { // pieces that are not text, replacements that grow
                if (e.status() == LTX2_STATUS_INTERNAL)
                    throw;
            }
}

// The pieces as a GGUF would state them, where it can.
inline std::vector<std::string> texts_of(const std::vector<ltx2::ScoredPiece> & pieces) {
    std::vector<std::string> texts;
    for (size_t i = 0; i < pieces.size() && i < 1000; ++i)
        texts.push_back(pieces[i].text);
    return texts;
}
