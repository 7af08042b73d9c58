// Where a value that is not finite came from: the weights are read for it once one has been found,
// so that a good run costs nothing.
#pragma once

#include "base/progress.h"
#include "model/model.h"

namespace ltx2 {

// Weights that were multiplied on the way to it: of a part, those whose names begin with `prefix`.
struct Suspect {
    const Part & part;
    const char * prefix = "";
};

// MODEL that says where the value was found, and which tensor of which file holds one, or that none
// does. Reads all weights of the suspects, in the order given. CANCELLED.
[[noreturn]] void fail_not_finite(const std::string & where, const std::vector<Suspect> & suspects,
                                  const Progress & progress);

} // namespace ltx2
