// The promise that every target is held to: an outcome that is documented, words that are safe to
// show, memory in proportion to the input, and no more than ten seconds.
#include "fuzz.h"

#include "base/error.h"
#include "base/utf8.h"
#include "memory.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <memory>

static constexpr size_t memory_per_byte = 4, memory_at_least = size_t{1} << 20;
static constexpr double most_seconds = 10; // of processor time

void finding(const char * format, ...) {
    std::fputs("finding: ", stderr);
    va_list args;
    va_start(args, format);
    std::vfprintf(stderr, format, args);
    va_end(args);
    std::fputc('\n', stderr);
    std::abort();
}

// ---- one input

static void judge(const ltx2::Error & error) {
    const std::string_view words = error.what();
    if (error.status() == LTX2_STATUS_INTERNAL || error.status() == LTX2_STATUS_DEVICE)
        finding("status %d: %s", error.status(), error.what());
    if (words.empty() || ltx2::visible(words) != words)
        finding("words that are not one line of text: %s", error.what());
    if (std::getenv("LTX2_FUZZ_SAY"))
        std::fprintf(stderr, "%d %s\n", error.status(), error.what());
}

int LLVMFuzzerTestOneInput(const uint8_t * data, size_t size) {
    // On the heap and of the exact size: a sanitizer sees a read past the end.
    const std::unique_ptr<uint8_t[]> copy(new uint8_t[size]);
    std::memcpy(copy.get(), data, size);
    const std::clock_t start = std::clock();
    size_t memory = 0;
    try {
        const CountedMemory counted(memory_at_least + memory_per_byte * size, memory);
        run_target(copy.get(), size);
    } catch (const ltx2::Error & error) {
        judge(error);
    } catch (const std::bad_alloc &) {
    } // another exception ends the program
    const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    if (seconds > most_seconds)
        finding("time: %.1f seconds for %zu bytes", seconds, size);
    if (std::getenv("LTX2_FUZZ_SAY"))
        std::fprintf(stderr, "%zu bytes: %.3f seconds, %zu bytes of memory\n", size, seconds,
                     memory);
    return 0;
}

// `--corpus FOLDER` writes the inputs to begin with, and the dictionary in libFuzzer's form.
int LLVMFuzzerInitialize(int * argc, char *** argv) {
    if (*argc != 3 || std::strcmp((*argv)[1], "--corpus") != 0)
        return 0;
    const std::string folder = (*argv)[2];
    int count = 0;
    for (const std::string & seed : seeds())
        std::ofstream(folder + "/seed-" + std::to_string(count++), std::ios::binary) << seed;
    std::ofstream words(folder + ".dict");
    for (const std::string & word : dictionary()) {
        words << '"';
        for (const char c : word) {
            char escape[8];
            std::snprintf(escape, sizeof escape, "\\x%02x", static_cast<uint8_t>(c));
            words << escape;
        }
        words << "\"\n";
    }
    std::exit(0);
}
