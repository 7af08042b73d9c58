// The parts of a model: the one list of them, what the makers of files call their tensors, and by
// which tensors each is known. Data; model/recognise reads it.
//
// In names, `#` stands for a number and `*` for anything. A shape is outermost first, as PyTorch
// prints it: a number, a letter (equal wherever it occurs in one file), a multiple of one ("9D"),
// or "?" for any size; "" is any shape.
#pragma once

#include "model/builtin/generations.h"

#include <cstddef>
#include <vector>

namespace ltx2 {

enum class Need {
    always,
    optional, // loaded where a file has it
    extends,  // changes other parts: an adapter
    never     // recognised and named in messages, not loaded
};

struct Sign {
    const char * name; // official
    const char * shape;
};

// One tensor, or many: as a maker calls them, and officially.
struct Name {
    const char * given;
    const char * official = nullptr; // the same
    float added = 0; // onto every value: Hugging Face stores norms without the 1 that GGUF has
};

struct Naming {
    std::vector<const char *> prefixes; // before each name, any of these
    const char * official;              // the prefix that the reference has in their place
    std::vector<Name> names;
};

// Another model that is much like ours: what it has, or lacks where ours has it.
struct Other {
    Sign sign;
    bool lacks;
    const char * what; // it is
};

// The same of the generations that are ours: those whose part it is then.
struct Mark {
    Sign sign;
    bool lacks;
    Generations generations;
};

// A side of a tensor in the official files of these generations.
struct Size {
    Sign sign;
    Generations generations = any_generation;
};

// A size that `info` prints: a side of a tensor, official, or with side -1 how many `#` counts up
// to.
struct Measure {
    const char * name;
    const char * tensor;
    int side;
};

struct PartRow {
    const char * id;    // as `info` prints it
    const char * title; // as a message says it
    Need need;
    int enough;                   // of the signs must be there: one that is damaged does not decide
    std::vector<Sign> signs = {}; // that only this part has; of official names, else of given ones
    std::vector<Sign> only = {};  // all of these too
    std::vector<Sign> never = {}; // not all of these: another part has them
    const char * source = "";     // where to get it
    const char * prefix = ""; // of its tensors in the official file, before their official names
    // The part in whose file its copy is the right one, where another file has one too.
    const char * belongs_to = nullptr;
    const char * refusal = nullptr;        // never: what a file that was asked for is refused with
    std::vector<const char *> groups = {}; // of a checkpoint's config that are about it
    std::vector<Naming> namings = {};
    const char * adds_nothing = nullptr; // an official name: where it is, nothing is `added`
    std::vector<Other> others = {};
    std::vector<Mark> marks = {}; // the first that holds tells its generations
    // Generations that have it in common, where no mark tells apart more.
    std::vector<Generations> shared = {ltx_2_0, ltx_2_3, ltx_2_5};
    // Trained with the transformer: what of these one file holds is of one generation.
    bool trained_together = false;
    bool leads = false;           // a model is of this part's generation
    std::vector<Size> sizes = {}; // official, where a file does not state its model_version
    // Which general.architecture or model_type may be stated; empty: any.
    std::vector<const char *> architectures = {};

    std::vector<Measure> measures = {};

    bool sound = false; // a video without sound needs none of it; a conversion can leave it out

    bool is_loaded() const { return need == Need::always || need == Need::optional; }
};

const std::vector<PartRow> & part_rows(); // in the order the pipeline needs them

} // namespace ltx2
