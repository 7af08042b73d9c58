// The generations of LTX-2, whose weights do not fit each other, and what files leave unsaid of
// each.
#pragma once

#include "files/json.h"

#include <string>
#include <vector>

namespace ltx2 {

using Generations = unsigned; // a set of them, by bits
constexpr Generations ltx_2_0 = 1, ltx_2_3 = 2, ltx_2_5 = 4, any_generation = 7;

struct Generation {
    const char * name;
    Generations bit;
    int since;            // of its first model_version: major * 100 + minor; 2.4 brought Gemma 4
    const char * config;  // what its official files have otherwise than LTX-2.3's; null: not at all
    int steps, stg_block; // of a dev model
    const char * sampler; // of the distilled schedule
    int crf;              // of the video codec whose marks its training pictures had
    const char * encoder; // of text
    const char * lora;    // that makes a dev model a distilled one
    std::vector<const char *> called; // in names of files
};

const std::vector<Generation> & generations(); // the oldest first
const Generation & newest(Generations some);
std::string names_of(Generations some); // "LTX-2.0, LTX-2.3 or LTX-2.5"
// By what a file states; 0: none of those there are.
Generations generation_of(const std::string & model_version);
// What files that state nothing are taken for: groups, in the official form.
Json usual_config(const Generation & generation);

// The two kinds of model that each generation has, and the `sampling` group each is made for.
struct Variant {
    const char * name;
    std::string (*sampling)(const Generation & generation);
};
const std::vector<Variant> & variants();

extern const char * const ltx23_config;

// What a guided video avoids by default: the kinds of fault that the official default names, of
// picture, bodies, lettering, style, motion and sound, in words of our own.
extern const char * const ltx23_negative_prompt;

} // namespace ltx2
