// The whole test framework: a failed check prints where and what, and the program ends non-zero.
#pragma once

#include "base/error.h"

#include <cstdio>
#include <cstring>

inline int & failures() {
    static int count = 0;
    return count;
}

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            std::fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition);           \
            ++failures();                                                                          \
        }                                                                                          \
    } while (0)

// The expression must throw an Error whose words contain `part`.
#define CHECK_THROWS(expression, part)                                                             \
    do {                                                                                           \
        bool thrown = false;                                                                       \
        try {                                                                                      \
            (void)(expression);                                                                    \
        } catch (const ltx2::Error & e) {                                                          \
            thrown = true;                                                                         \
            if (!std::strstr(e.what(), part)) {                                                    \
                std::fprintf(stderr, "%s:%d: \"%s\" is not in: %s\n", __FILE__, __LINE__, part,    \
                             e.what());                                                            \
                ++failures();                                                                      \
            }                                                                                      \
        }                                                                                          \
        if (!thrown) {                                                                             \
            std::fprintf(stderr, "%s:%d: nothing thrown: %s\n", __FILE__, __LINE__, #expression);  \
            ++failures();                                                                          \
        }                                                                                          \
    } while (0)

inline int check_result() {
    if (failures())
        std::fprintf(stderr, "%d checks failed\n", failures());
    return failures() ? 1 : 0;
}
