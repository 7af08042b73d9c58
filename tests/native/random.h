// Random numbers for tests, the same in every run.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

// Seeded anew for each test, so that it sees the same ones alone and among others.
inline std::mt19937 random_bits;

inline int any(int least, int most) {
    return least + static_cast<int>(random_bits() % static_cast<unsigned>(most - least + 1));
}

inline std::vector<float> normal_values(int64_t count, float mean = 0, float deviation = 1) {
    std::normal_distribution<float> normal(mean, deviation);
    std::vector<float> values(static_cast<size_t>(count));
    for (float & v : values)
        v = normal(random_bits);
    return values;
}
