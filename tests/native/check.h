// The test framework. A file has tests, and a main that runs them:
//
//     TEST(a_missing_file_is_named) { CHECK_THROWS(read("no.gguf"), "no.gguf"); }
//     int main(int argc, char ** argv) { return run_tests(argc, argv); }
//
// The program runs all tests or, by name, those of its arguments; `--list` prints the names. After
// a failed check a test goes on; an exception ends it. Either way the others still run.
#pragma once

#include "base/error.h"
#include "random.h"

#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

struct Test {
    const char * name;
    void (*run)();
    bool failed = false;
};

inline std::vector<Test> & all_tests() {
    static std::vector<Test> tests;
    return tests;
}

struct ListedTest {
    ListedTest(const char * name, void (*run)()) { all_tests().push_back({name, run}); }
};

inline Test * running_test = nullptr;

inline void fail_test(const char * file, int line, const std::string & problem) {
    std::fprintf(stderr, "%s: %s:%d: %s\n", running_test->name, file, line, problem.c_str());
    running_test->failed = true;
}

// The call must throw an Error whose words contain `part`.
template <class Call>
void check_throws(const char * file, int line, const char * expression, const char * part,
                  Call call) {
    try {
        call();
    } catch (const ltx2::Error & e) {
        if (!std::strstr(e.what(), part))
            fail_test(file, line, std::string("\"") + part + "\" is not in: " + e.what());
        return;
    }
    fail_test(file, line, std::string("nothing thrown: ") + expression);
}

#define TEST(name)                                                                                 \
    static void name();                                                                            \
    static const ListedTest name##_is_listed(#name, name);                                         \
    static void name()

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_test(__FILE__, __LINE__, "failed: " #condition);                                  \
    } while (0)

#define CHECK_THROWS(expression, part)                                                             \
    check_throws(__FILE__, __LINE__, #expression, part, [&] { (void)(expression); })

inline void run_test(Test & test) {
    running_test = &test;
    random_bits.seed(11);
    try {
        test.run();
    } catch (const std::exception & e) {
        std::fprintf(stderr, "%s: ended by an exception: %s\n", test.name, e.what());
        test.failed = true;
    } catch (...) {
        std::fprintf(stderr, "%s: ended by an exception of an unknown type\n", test.name);
        test.failed = true;
    }
}

inline Test * find_test(const std::string & name) {
    for (Test & test : all_tests())
        if (name == test.name)
            return &test;
    return nullptr;
}

// Returns main's status: 0 where all passed, 1 where one failed, 2 for an unknown name.
inline int run_tests(int argc, char ** argv) {
    const std::vector<std::string> names(argv + 1, argv + argc);
    if (names == std::vector<std::string>{"--list"}) {
        for (const Test & test : all_tests())
            std::printf("%s\n", test.name);
        return 0;
    }
    std::vector<Test *> wanted;
    for (const std::string & name : names)
        if (Test * test = find_test(name)) {
            wanted.push_back(test);
        } else {
            std::fprintf(stderr, "%s: no such test; --list lists them\n", name.c_str());
            return 2;
        }
    if (names.empty())
        for (Test & test : all_tests())
            wanted.push_back(&test);
    std::string failed;
    int failures = 0;
    for (Test * test : wanted) {
        run_test(*test);
        if (test->failed)
            failed += std::string(failures++ ? ", " : "") + test->name;
    }
    if (failures)
        std::fprintf(stderr, "%d of %zu failed: %s\n", failures, wanted.size(), failed.c_str());
    else
        std::printf("%zu passed\n", wanted.size());
    return failures ? 1 : 0;
}
