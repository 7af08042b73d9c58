#pragma once

#include "check.h"

#include <cmath>
#include <vector>

inline void check_near(const std::vector<float> & have, const std::vector<double> & want,
                       double limit) {
    CHECK(have.size() == want.size());
    for (size_t i = 0; i < have.size() && i < want.size(); ++i)
        CHECK(std::fabs(have[i] - want[i]) <= limit);
}
