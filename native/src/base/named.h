// The row of a table that has a name.
#pragma once

#include "base/error.h"
#include "base/utf8.h"

namespace ltx2 {

// INVALID_ARGUMENT that lists the names, `what` in front.
template <class Rows>
const auto & find_named(const char * what, const Rows & rows, const std::string & name) {
    std::string all;
    for (const auto & row : rows) {
        if (row.name == name)
            return row;
        all += (all.empty() ? "" : ", ") + std::string(row.name);
    }
    fail(LTX2_STATUS_INVALID_ARGUMENT, "%s: %s is not one of %s", what, shown(name).c_str(),
         all.c_str());
}

} // namespace ltx2
