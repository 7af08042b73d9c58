// Scalar twins, in double, that several tests share.
#pragma once

#include <cmath>

inline double gelu_plain(double x) {
    return x / 2 * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}
