// Runs a target without libFuzzer: the seeds, then seeds changed at random, the same in every run.
//
//   fuzz_TARGET [--runs N] [--seconds N] [--seed N]     by default 10,000 runs
//   fuzz_TARGET FILE...                                 these inputs only: what was found, again
//   fuzz_TARGET --worst                                 the large inputs
//   fuzz_TARGET --corpus FOLDER
#include "fuzz.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>

static std::mt19937_64 bits;
static std::string input; // that runs now

static size_t below(size_t count) { return static_cast<size_t>(bits() % count); }

// What a size, a count or an offset goes wrong with.
static uint64_t awkward_number() {
    const int shift = static_cast<int>(below(65));
    const uint64_t power = shift == 64 ? 0 : uint64_t{1} << shift;
    return power + below(3) - 1;
}

static void put_number(std::string & text) {
    const size_t width = size_t{1} << below(4);
    if (text.size() < width)
        return;
    const size_t at = below(text.size() - width + 1);
    uint64_t value = 0;
    std::memcpy(&value, &text[at], width);
    value = below(2) ? awkward_number() : value + below(33) - 16;
    std::memcpy(&text[at], &value, width);
}

// A part of one text in place of a part of another: either may be empty.
static void splice(std::string & text, const std::string & from) {
    const size_t at = below(text.size() + 1), first = below(from.size() + 1);
    const size_t most = size_t{1} << below(12);
    const size_t gone = below(2) ? below(std::min(most, text.size() - at) + 1) : 0;
    text.replace(at, gone, from, first, below(std::min(most, from.size() - first) + 1));
}

static void mutate(std::string & text, const std::vector<std::string> & inputs,
                   const std::vector<std::string> & words) {
    switch (below(text.empty() ? 3 : 8)) {
    case 0:
        return splice(text, inputs[below(inputs.size())]);
    case 1:
        return splice(text, std::string(text));
    case 2:
        if (!words.empty()) {
            const std::string & word = words[below(words.size())];
            const size_t at = below(text.size() + 1);
            text.replace(at, below(2) ? std::min(word.size(), text.size() - at) : 0, word);
        }
        return;
    case 3:
        text.resize(below(text.size() + 1));
        return;
    case 4:
        text[below(text.size())] = static_cast<char>(bits());
        return;
    case 5:
        text[below(text.size())] ^= static_cast<char>(1 << below(8));
        return;
    default:
        return put_number(text);
    }
}

static void run(const std::string & text) {
    input = text;
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t *>(text.data()), text.size());
}

// A finding ends the program: its input is kept, to be run again.
static void keep_input(int signal) {
    std::FILE * file = std::fopen("finding.input", "wb");
    if (file) {
        std::fwrite(input.data(), 1, input.size(), file);
        std::fclose(file);
        std::fputs("the input is in finding.input\n", stderr);
    }
    std::signal(signal, SIG_DFL);
    std::raise(signal);
}

int main(int argc, char ** argv) {
    LLVMFuzzerInitialize(&argc, &argv);
    uint64_t runs = 10000, seed = 1;
    double seconds = 1e9;
    std::vector<std::string> files;
    for (int i = 1; i < argc; ++i) {
        const std::string name = argv[i];
        const bool number = name.compare(0, 2, "--") == 0 && i + 1 < argc;
        if (number && name == "--runs")
            runs = std::strtoull(argv[++i], nullptr, 10);
        else if (number && name == "--seed")
            seed = std::strtoull(argv[++i], nullptr, 10);
        else if (number && name == "--seconds")
            seconds = std::strtod(argv[++i], nullptr), runs = UINT64_MAX;
        else
            files.push_back(name);
    }
    if (argc == 2 && std::strcmp(argv[1], "--worst") == 0) {
        for (const std::string & one : worst_inputs())
            run(one);
        return 0;
    }
    for (const int signal : {SIGABRT, SIGSEGV, SIGFPE, SIGILL})
        std::signal(signal, keep_input);
#if defined(SIGBUS)
    std::signal(SIGBUS, keep_input);
#endif
    for (const std::string & file : files) {
        std::ifstream stream(file, std::ios::binary);
        run(std::string(std::istreambuf_iterator<char>(stream), {}));
    }
    if (!files.empty())
        return 0;
    bits.seed(seed);
    const std::vector<std::string> inputs = seeds(), words = dictionary();
    for (const std::string & one : inputs)
        run(one);
    const auto start = std::chrono::steady_clock::now();
    const auto passed = [&] {
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    };
    uint64_t done = 0;
    for (; done < runs && passed() < seconds; ++done) {
        std::string text = inputs[below(inputs.size())];
        for (size_t changes = 1 + below(4); changes; --changes)
            mutate(text, inputs, words);
        run(text);
    }
    std::printf("%llu runs in %.1f seconds, no finding\n", static_cast<unsigned long long>(done),
                passed());
}
