// Either format, recognised by its first bytes; cut and damaged.
#include "check.h"
#include "folder.h"
#include "model/describe.h"
#include "tensor_files.h"

#include <cstdlib>
#include <set>

using namespace ltx2;

TEST(the_format_is_read_off_the_first_bytes) {
    Folder folder;
    folder.put("a", valid_gguf().build()).put("b", safetensors("{}", 0)).put("c", "plain words");
    CHECK(read_tensor_file(folder.at("a")).format == "GGUF v3");
    CHECK(read_tensor_file(folder.at("b")).format == "safetensors");
    CHECK_THROWS(read_tensor_file(folder.at("c")), "neither GGUF");
    CHECK(read_gguf(folder.at("a")).tensors.size() == 2);
    CHECK_THROWS(read_safetensors(folder.at("a")), "header");
}

// A file that ends anywhere before its end is an error, never a shorter success.
TEST(cut_anywhere_it_is_an_error) {
    for (const std::string & whole : {valid_gguf().build(), safetensors(valid_header, 20)}) {
        read(whole);
        for (size_t size = 0; size < whole.size(); ++size) {
            CHECK_THROWS(read(whole.substr(0, size)), "m: ");
        }
    }
}

// Every tensor of a file that was read lies within it: touch the first and last byte.
static void touch(const std::vector<uint8_t> & bytes) {
    const TensorFile f = read_tensor_file(bytes.data(), bytes.size(), "m");
    std::set<std::string> names;
    for (const TensorInfo & t : f.tensors) {
        CHECK(names.insert(t.name).second && f.find(t.name) == &t);
        CHECK(t.data >= bytes.data() && t.data + t.size <= bytes.data() + bytes.size());
        CHECK(t.size == 0 || t.data[0] + t.data[t.size - 1] <= 510);
    }
    CHECK(describe(f).find("tensors"));
}

// Random damage: a table or an Error, nothing else. LTX2_MUTATIONS asks for another number.
TEST(damage_gives_a_table_or_an_error) {
    const char * asked = std::getenv("LTX2_MUTATIONS");
    const int rounds = asked ? std::atoi(asked) : 30000;
    uint64_t state = 1;
    const auto random = [&](size_t below) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        return static_cast<size_t>((state >> 33) % below);
    };
    const unsigned char edges[] = {0, 1, 0x20, 0x7F, 0x80, 0xFF, '"', '{', '[', ',', '9', '-'};
    int good = 0;
    for (const std::string & whole : {valid_gguf().build(), safetensors(valid_header, 20)}) {
        for (int round = 0; round < rounds; ++round) {
            std::vector<uint8_t> bytes(whole.begin(), whole.end());
            for (size_t flips = 1 + random(4); flips > 0; --flips) {
                uint8_t & at = bytes[random(bytes.size())];
                at = random(2) ? edges[random(sizeof edges)]
                               : static_cast<uint8_t>(at ^ (1u << random(8)));
            }
            if (random(8) == 0) {
                bytes.resize(random(bytes.size()));
            }
            bytes.shrink_to_fit();
            try {
                touch(bytes);
                ++good;
            } catch (const Error & e) {
                CHECK(e.status() == LTX2_STATUS_MODEL && std::strncmp(e.what(), "m: ", 3) == 0);
            }
        }
    }
    CHECK(good > rounds / 100); // damage to data and values is no error
    std::printf("mutations: %d read, %d refused\n", good, 2 * rounds - good);
}

int main(int argc, char ** argv) { return run_tests(argc, argv); }
