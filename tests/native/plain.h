// What tests of arithmetic share: scalar references in double, and how far values are from right.
#pragma once

#include <cmath>
#include <vector>

inline double gelu_plain(double x) {
    return x / 2 * (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x)));
}

// NMSE over all that has been added: one value alone may be what is left of two that cancel.
struct Nmse {
    double wrong = 0, all = 0;

    void add(double have, double want) {
        wrong += (have - want) * (have - want);
        all += want * want;
    }
    template <class T>
    void add(const std::vector<float> & have, const std::vector<T> & want) {
        for (size_t i = 0; i < want.size(); ++i)
            add(double(have[i]), double(want[i]));
    }
    // Infinite where a value is not finite, which std::max would skip.
    double value() const { return std::isfinite(wrong) ? wrong / all : INFINITY; }
};

template <class T>
double nmse(const std::vector<float> & have, const std::vector<T> & want) {
    Nmse sum;
    sum.add(have, want);
    return sum.value();
}
