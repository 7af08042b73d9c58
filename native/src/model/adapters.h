// Adapters (LoRA): what they add to the matrices of a model, read from the files of many makers.
// Nothing is merged: a layer computes the addition beside its own product.
#pragma once

#include "model/recognise.h"

namespace ltx2 {

struct Adapter {
    std::string path;
    float given = 1;      // by the caller, of all that it adds
    float strength = 1;   // of the stage that runs
    bool distils = false; // makes a dev model a distilled one, as its name says
    // How much smaller than the video the references are that it was trained with, and which share
    // of its frames they have; 0: its file does not say.
    int downscale = 0, temporal = 0;
};

// As settings and metadata state it: by its file's name, with the caller's strength.
Json about(const Adapter & adapter);

// W x becomes W x + strength * scale * up (down x).
struct LowRank {
    Source down; // [rank, in]
    Source up;   // [out, rank]
    float scale; // alpha / rank where the file states an alpha, else 1
    const Adapter * adapter;
};
using LowRanks = std::map<std::string, std::vector<LowRank>, std::less<>>; // by a module's path

// The modules of a model that adapters may change: of each official path, its weight.
using Modules = std::map<std::string, const Source *, std::less<>>;

// Reads what the file says of references. MODEL.
void read_reference_factors(const TensorFile & file, Adapter & adapter);

// What the file adds to which module. What it has for no module of the model is logged. Errors:
// MODEL that names the file: it changes nothing, a shape does not fit, half of a pair is missing,
// or it is of a kind that is not a sum of products (DoRA, LoHa, LoKr).
std::map<std::string, LowRank> read_adapter(const TensorFile & file, const Modules & modules,
                                            const Adapter & adapter);

} // namespace ltx2
