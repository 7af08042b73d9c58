// The rows of a table, by their names.
#pragma once

#include "base/error.h"
#include "base/utf8.h"

#include <iterator>
#include <string>
#include <string_view>
#include <vector>

namespace ltx2 {

template <class Rows>
std::vector<std::string> names_of(const Rows & rows) {
    std::vector<std::string> names;
    for (const auto & row : rows)
        names.emplace_back(row.name);
    return names;
}

// The row that has the name, or null; then `all` lists the names.
template <class Rows>
auto row_named(const Rows & rows, std::string_view name,
               std::string & all) -> decltype(&*std::begin(rows)) {
    for (const auto & row : rows)
        if (row.name == name)
            return &row;
    for (const std::string & one : names_of(rows))
        all += (all.empty() ? "" : ", ") + one;
    return nullptr;
}

// INVALID_ARGUMENT that lists the names, `what` in front.
template <class Rows>
const auto & find_named(const char * what, const Rows & rows, const std::string & name) {
    std::string all;
    if (const auto * row = row_named(rows, name, all))
        return *row;
    fail(LTX2_STATUS_INVALID_ARGUMENT, "%s: %s is not one of %s", what, shown(name).c_str(),
         all.c_str());
}

// The same of what runs by name: schedules, samplers, recipes.
template <class Rows>
const auto & find_known(const char * what, const Rows & rows, std::string_view name) {
    std::string all;
    if (const auto * row = row_named(rows, name, all))
        return *row;
    fail(LTX2_STATUS_INVALID_ARGUMENT, "%s: %s is unknown; there are %s", what,
         std::string(name).c_str(), all.c_str());
}

} // namespace ltx2
