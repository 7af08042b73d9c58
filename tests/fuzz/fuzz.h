// What a fuzz target is: a function that reads one input, and the inputs to begin with. Around it,
// fuzz.cpp judges the outcome, and main() is libFuzzer's or, with any compiler, driver.cpp's.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

// Reads the bytes. It may throw ltx2::Error, but not INTERNAL, or std::bad_alloc; whatever else
// happens is a finding.
void run_target(const uint8_t * data, size_t size);

// Whole inputs, from the builders of the native tests.
std::vector<std::string> seeds();

// Large inputs, each the worst there is in one way for memory or time.
std::vector<std::string> worst_inputs();

// Bytes that mean something to this reader.
std::vector<std::string> dictionary();

// Where the outcome is not what was promised: says so and ends the program.
[[noreturn]] void finding(const char * format, ...) __attribute__((format(printf, 1, 2)));

inline std::string repeated(const std::string & text, size_t times) {
    std::string out;
    out.reserve(text.size() * times);
    for (size_t i = 0; i < times; ++i)
        out += text;
    return out;
}

inline std::string_view as_text(const uint8_t * data, size_t size) {
    return {reinterpret_cast<const char *>(data), size};
}

// libFuzzer's names; driver.cpp calls them too.
extern "C" int LLVMFuzzerInitialize(int * argc, char *** argv);
extern "C" int LLVMFuzzerTestOneInput(const uint8_t * data, size_t size);
