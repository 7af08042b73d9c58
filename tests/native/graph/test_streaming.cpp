#include "graph/streaming.h"

#include "check.h"
#include "folder.h"

#if defined(__linux__)
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#endif

using namespace ltx2;

static constexpr size_t page = 4096, layer_size = 16 * page, layer_count = 6;
static constexpr uint64_t mib = 1 << 20;

// A file of layers that lie one after the other.
struct Layers {
    Folder folder;
    Mapping file;
    std::vector<FileParts> parts;

    Layers() : file(folder.put("layers", bytes()).at("layers")) {
        for (size_t i = 0; i < layer_count; ++i)
            parts.push_back({{&file, file.data() + i * layer_size, layer_size}});
    }
    static std::string bytes() {
        std::string all;
        for (size_t i = 0; i < layer_count; ++i)
            all += std::string(layer_size, static_cast<char>('a' + i));
        return all;
    }
    bool is_whole() const { return std::memcmp(file.data(), bytes().data(), file.size()) == 0; }
#if defined(__linux__)
    // Whether the system has a layer in its cache of files.
    bool is_cached(size_t i) const {
        unsigned char pages[layer_size / page];
        mincore(const_cast<uint8_t *>(file.data()) + i * layer_size, layer_size, pages);
        return pages[3] & 1;
    }
#endif
};

TEST(as_many_layers_stay_as_fit_beside_two_others_and_what_is_held) {
    const FileParts one = {{nullptr, nullptr, 100 * mib}};
    const std::vector<FileParts> layers(10, one);
    const uint64_t rest = Residency::reserve + 200 * mib;
    CHECK(layers_that_stay(layers, 0, rest) == 0);
    CHECK(layers_that_stay(layers, 0, rest + 99 * mib) == 0);
    CHECK(layers_that_stay(layers, 0, rest + 350 * mib) == 3);
    CHECK(layers_that_stay(layers, 60 * mib, rest + 350 * mib) == 2);
    CHECK(layers_that_stay(layers, 0, rest + 5000 * mib) == 10);
    CHECK(layers_that_stay({}, 0, 0) == 0);
}

TEST(what_is_given_back_is_read_again) {
    Layers layers;
    for (const uint64_t limit : {no_limit, uint64_t{1}}) {
        ReadAhead reader;
        Streaming streaming;
        streaming.layers = layers.parts;
        for (int pass = 0; pass < 2; ++pass)
            for (size_t i = 0; i < layer_count; ++i)
                streaming.use(i, true, {false, limit}, reader);
        reader.end();
        CHECK(layers.is_whole());
    }
}

#if defined(__linux__)
TEST(with_a_limit_what_does_not_fit_leaves_the_cache_of_files) {
    Layers layers;
    const int file = open(layers.folder.at("layers").c_str(), O_RDONLY);
    fsync(file); // what is not on the disk cannot leave
    close(file);
    layers.file.forget(layers.file.data(), layers.file.size());
    if (layers.is_cached(0)) {
        std::puts("not tested: nothing leaves the cache of this file system, which is in memory");
        return;
    }
    CHECK(layers.is_whole());
    ReadAhead reader;
    Streaming streaming;
    streaming.layers = layers.parts;
    for (size_t i = 0; i < layer_count; ++i)
        streaming.use(i, false, {false, 1}, reader);
    reader.end();
    for (size_t i = 0; i < layer_count - 1; ++i)
        CHECK(!layers.is_cached(i) || i == 0); // the first is read ahead for the next pass
    CHECK(layers.is_cached(layer_count - 1));
    streaming = {};
    streaming.layers = layers.parts;
    CHECK(layers.is_whole());
    for (size_t i = 0; i < layer_count; ++i)
        streaming.use(i, false, {false, uint64_t{1} << 40}, reader);
    reader.end();
    for (size_t i = 0; i < layer_count; ++i)
        CHECK(layers.is_cached(i));
}
#endif

int main(int argc, char ** argv) { return run_tests(argc, argv); }
