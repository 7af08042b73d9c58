// GGUF files that are right, and wrong in one way each.
#include "check.h"
#include "tensor_files.h"

#include <chrono>
#include <functional>
#include <limits>

using namespace ltx2;

static void read(const Gguf & gguf) { read(gguf.build()); }

TEST(a_gguf_file_is_read) {
    for (const uint32_t version : {2u, 3u}) {
        Gguf g = valid_gguf();
        g.version = version;
        const Held held(g.build());
        const TensorFile f = held.file();
        CHECK(f.format == (version == 2 ? "GGUF v2" : "GGUF v3") && f.path == "m");
        CHECK(f.metadata.find("general.architecture")->string("s") == "ltxv");
        CHECK(f.metadata.find("n")->integer("i") == 7);
        const Json::Array list = f.metadata.find("list")->array("a");
        CHECK(list.size() == 2 && list[0].array("a")[1].string("s") == "\xc3\xa9");
        CHECK(list[1].array("a")[0].number("n") == 0.5);
        CHECK(f.tensors.size() == 2 && f.find("c") == nullptr);
        const TensorInfo * a = f.find("a");
        const TensorInfo * b = f.find("b");
        CHECK(a->type == GGML_TYPE_Q8_0 && std::string_view(a->dtype) == "q8_0" && a->size == 68);
        CHECK((a->shape == std::vector<int64_t>{2, 32}));
        CHECK((b->shape == std::vector<int64_t>{2, 1, 3}) && b->elements() == 6 && b->size == 12);
        CHECK(b->data == a->data + 96 && b->data + 12 == held.copy.data() + held.copy.size());
        CHECK(b->type == GGML_TYPE_F16);
    }
    Gguf none; // a vocabulary alone: no tensors, and the file ends with the table
    const Held held(none.build());
    CHECK(held.file().tensors.empty());
    Gguf wide;
    wide.alignment = 64;
    wide.entry("general.alignment", gguf_u32).u32(64);
    wide.tensor("s", {}, GGML_TYPE_F32, 64).bytes(68);
    const Held aligned(wide.build());
    CHECK(aligned.file().find("s")->size == 4 && aligned.file().find("s")->elements() == 1);
}

TEST(value_types_are_read) {
    Gguf g;
    g.entry("u8", gguf_u8).put<uint8_t>(255);
    g.entry("i8", gguf_i8).put<int8_t>(-128);
    g.entry("u16", gguf_u16).put<uint16_t>(65535);
    g.entry("i16", gguf_i16).put<int16_t>(-32768);
    g.entry("u32", gguf_u32).put<uint32_t>(4294967295u);
    g.entry("i32", gguf_i32).put<int32_t>(INT32_MIN);
    g.entry("f32", gguf_f32).put(1.5f);
    g.entry("no", gguf_bool).put<uint8_t>(0);
    g.entry("yes", gguf_bool).put<uint8_t>(1);
    g.entry("u64", gguf_u64).put<uint64_t>(9007199254740993);
    g.entry("huge", gguf_u64).put<uint64_t>(UINT64_MAX);
    g.entry("i64", gguf_i64).put<int64_t>(INT64_MIN);
    g.entry("f64", gguf_f64).put(-0.1);
    g.entry("nan", gguf_f32).put(std::numeric_limits<float>::quiet_NaN());
    g.entry("empty", gguf_array).u32(gguf_string).u64(0);
    g.entry("bytes", gguf_array).u32(gguf_u8).u64(3).raw("abc");
    const Held held(g.build());
    const TensorFile f = held.file();
    const auto integer = [&](const char * key) { return f.metadata.find(key)->integer(key); };
    const auto number = [&](const char * key) { return f.metadata.find(key)->number(key); };
    CHECK(integer("u8") == 255 && integer("i8") == -128 && integer("u16") == 65535);
    CHECK(integer("i16") == -32768 && integer("u32") == 4294967295);
    CHECK(integer("i32") == INT32_MIN && integer("i64") == INT64_MIN);
    CHECK(integer("u64") == 9007199254740993 && number("huge") == 18446744073709551616.0);
    CHECK_THROWS(integer("huge"), "huge: ");
    CHECK_THROWS(integer("nan"), "nan: ");
    CHECK(number("f32") == 1.5 && number("f64") == -0.1);
    CHECK(!f.metadata.find("no")->boolean("b") && f.metadata.find("yes")->boolean("b"));
    CHECK(f.metadata.find("empty")->array("a").empty());
    CHECK(f.metadata.find("bytes")->array("a")[2].integer("i") == 'c');
}

// Every type that ggml knows is read, with the size ggml gives it; every other number is refused.
TEST(tensor_types_are_read) {
    for (uint32_t type = 0; type < 70; ++type) {
        const bool known = type < GGML_TYPE_COUNT &&
                           ggml_get_type_traits(static_cast<ggml_type>(type))->blck_size > 0;
        Gguf g;
        if (!known) {
            CHECK_THROWS(read(g.tensor("t", {512, 2}, type, 0).bytes(8192)), "tensor \"t\": type");
            continue;
        }
        const auto ggml = static_cast<ggml_type>(type);
        const size_t size = 2 * ggml_row_size(ggml, 512);
        const Held held(g.tensor("t", {512, 2}, type, 0).bytes(size).build());
        CHECK(held.file().find("t")->size == size && held.file().find("t")->type == ggml);
        Gguf part;
        CHECK_THROWS(read(part.tensor("t", {512, 2}, type, 0).bytes(size - 1)), "not complete");
        if (ggml_blck_size(ggml) > 1) {
            Gguf row;
            CHECK_THROWS(read(row.tensor("t", {511, 512}, type, 0).bytes(1 << 20)), "whole blocks");
        }
    }
    for (const uint32_t type : {0x80000000u, 0xFFFFFFFFu, 0x7FFFFFFFu}) {
        Gguf g;
        CHECK_THROWS(read(g.tensor("t", {32}, type, 0).bytes(128)), "is unknown");
    }
}

TEST(a_wrong_header_is_refused) {
    CHECK_THROWS(read("hello, I am a text file"), "m: neither GGUF nor safetensors");
    CHECK_THROWS(read("version https://git-lfs.github.com/spec/v1\n"), "git-lfs pointer");
    const Held text("hello, I am a text file");
    CHECK_THROWS(read_gguf(text.copy.data(), text.copy.size(), "m"), "not begin with \"GGUF\"");
    for (const uint32_t version : {0u, 1u, 4u, 0xFFFFFFFFu}) {
        Gguf g = valid_gguf();
        g.version = version;
        CHECK_THROWS(read(g), "is not read; 2 and 3 are");
    }
    Gguf big = valid_gguf();
    big.version = 0x03000000;
    CHECK_THROWS(read(big), "big endian");
    const uint64_t counts[] = {100,        uint64_t{1} << 32,   uint64_t{1} << 63,
                               UINT64_MAX, UINT64_MAX / 13 + 1, UINT64_MAX / 24 + 1};
    for (const uint64_t count : counts) {
        Gguf g = valid_gguf();
        g.entry_count = count;
        CHECK_THROWS(read(g), "metadata entries cannot be");
        g = valid_gguf();
        g.tensor_count = count;
        CHECK_THROWS(read(g), "tensors cannot be");
    }
    Gguf many;
    many.tensor_count = (1 << 20) + 1;
    CHECK_THROWS(read(many.bytes(size_t{24} * ((1 << 20) + 1))), "more than 1048576 tensors");
}

TEST(wrong_metadata_is_refused) {
    const auto wrong = [](const std::function<void(Gguf &)> & make, const char * part) {
        Gguf g;
        make(g);
        g.entries.raw(std::string(64, '\x01')); // enough bytes that only the fault is wrong
        CHECK_THROWS(read(g), part);
    };
    const auto entry = [](const std::string & name, uint32_t type, const Bytes & value) {
        return [=](Gguf & g) { g.entry(name, type).raw(value.data); };
    };
    const uint64_t wrapping[] = {1000, uint64_t{1} << 63, UINT64_MAX, UINT64_MAX - 7,
                                 UINT64_MAX / 4 + 2};
    for (const uint64_t length : wrapping) {
        wrong(entry("k", gguf_string, Bytes().u64(length)), "key \"k\": the file ends too early");
        for (uint32_t type = gguf_u8; type <= gguf_f64; ++type) {
            wrong(entry("k", gguf_array, Bytes().u32(type).u64(length)), "array elements cannot");
        }
        wrong([=](Gguf & g) { ++g.entry_count, g.entries.u64(length); }, "metadata entry 0: ");
    }
    wrong(entry("k", 13, Bytes()), "key \"k\": value type 13 is unknown");
    wrong(entry("k", 0xFFFFFFFF, Bytes()), "value type 4294967295 is unknown");
    wrong(entry("k", gguf_array, Bytes().u32(13).u64(0)), "value type 13 is unknown");
    wrong(entry("k", gguf_bool, Bytes().raw("\x02")), "a boolean is 2");
    wrong(entry("k", gguf_string, Bytes().text("a\xff")), "key \"k\": text is not UTF-8 at offset");
    wrong(entry("k", gguf_array, Bytes().u32(gguf_string).u64(1).text("\xed\xa0\x80")),
          "not UTF-8");
    wrong(entry("a\xc3", gguf_u8, Bytes().raw("1")), "not UTF-8");
    wrong(entry("", gguf_u8, Bytes().raw("1")), "a name is empty");
    wrong(entry(std::string("a\0b", 3), gguf_u8, Bytes().raw("1")), "zero byte");
    wrong(entry(std::string(65536, 'k'), gguf_u8, Bytes().raw("1")), "over 65535 bytes");
    wrong(
        [](Gguf & g) {
            g.entry("b", gguf_u8).raw("1");
            g.entry("a", gguf_u8).raw("1");
            g.entry("b", gguf_u8).raw("2");
        },
        "key \"b\" occurs twice");
    Bytes bomb;
    for (int i = 0; i < 10000; ++i) {
        bomb.u32(gguf_array).u64(1);
    }
    wrong(entry("k", gguf_array, bomb), "arrays nested over 64 deep");
    Bytes wide; // a byte of the file would become a whole value
    wide.u32(gguf_u8).u64(Json::max_values).raw(std::string(Json::max_values, 'x'));
    wrong(entry("k", gguf_array, wide), "more than 8388608 metadata values");
}

TEST(alignment_is_checked) {
    const auto with = [](uint32_t type, const Bytes & value, uint64_t offset) {
        Gguf g;
        g.entry("general.alignment", type).raw(value.data);
        return g.tensor("t", {1}, GGML_TYPE_F32, offset).bytes(256);
    };
    for (const uint32_t bad : {0u, 1u, 4u, 24u, 33u, 1u << 21, 0x80000000u, 0xFFFFFFFFu}) {
        CHECK_THROWS(read(with(gguf_u32, Bytes().u32(bad), 0)), "not a power of two from 8");
    }
    CHECK_THROWS(read(with(gguf_string, Bytes().text("32"), 0)),
                 "m: general.alignment: is a string");
    read(with(gguf_u32, Bytes().u32(8), 8));
    CHECK_THROWS(read(with(gguf_u32, Bytes().u32(64), 32)), "multiple of the alignment, 64");
    CHECK_THROWS(read(with(gguf_u32, Bytes().u32(1 << 20), 0)), "not complete");
    for (const uint64_t offset : {1, 4, 31, 33}) {
        Gguf g;
        CHECK_THROWS(read(g.tensor("t", {1}, 0, offset).bytes(256)), "is not a multiple");
    }
}

TEST(wrong_tensors_are_refused) {
    const auto tensor = [](const std::string & name, const std::vector<uint64_t> & ne,
                           uint64_t offset) {
        Gguf g;
        return g.tensor(name, ne, GGML_TYPE_F32, offset).bytes(256);
    };
    const uint64_t half = uint64_t{1} << 32, top = uint64_t{1} << 63;
    CHECK_THROWS(read(tensor("t", {1, 1, 1, 1, 1}, 0)), "5 dimensions; at most 4");
    CHECK_THROWS(read(tensor("t", {2, 0}, 0)), "dimension 1 is 0");
    CHECK_THROWS(read(tensor("t", {top}, 0)), "dimension 0 is 9223372036854775808");
    CHECK_THROWS(read(tensor("t", {UINT64_MAX}, 0)), "dimension 0 is");
    CHECK_THROWS(read(tensor("t", {half, half}, 0)), "more elements than 63 bits");
    CHECK_THROWS(read(tensor("t", {half, half / 2}, 0)), "more elements than 63 bits");
    CHECK_THROWS(read(tensor("t", {half, 3, half, 5}, 0)), "more elements than 63 bits");
    CHECK_THROWS(read(tensor("t", {half, half / 4}, 0)), "is larger than the file"); // 2^64 bytes
    CHECK_THROWS(read(tensor("t", {top - 1}, 0)), "is larger than the file");
    CHECK_THROWS(read(tensor("t", {65}, 0)), "tensor \"t\": 260 bytes at offset 0 of 256");
    CHECK_THROWS(read(tensor("t", {1}, 256)), "the file is not complete");
    for (const uint64_t offset : {uint64_t{288}, top, UINT64_MAX - 31, UINT64_MAX - 255}) {
        CHECK_THROWS(read(tensor("t", {8}, offset)), "the file is not complete");
    }
    CHECK_THROWS(read(tensor("", {1}, 0)), "tensor 0: a name is empty");
    CHECK_THROWS(read(tensor("\xff", {1}, 0)), "tensor 0: text is not UTF-8");
    CHECK_THROWS(read(tensor(std::string("t\0", 2), {1}, 0)), "zero byte");
    CHECK_THROWS(read(tensor("t", {1}, 0).tensor("t", {1}, 0, 32)), "\"t\" occurs twice");
    CHECK_THROWS(read(tensor("t", {9}, 0).tensor("u", {1}, 0, 32)), "\"t\" and \"u\" overlap");
    CHECK_THROWS(read(tensor("t", {1}, 32).tensor("u", {32}, 0, 0)), "\"u\" and \"t\" overlap");
    CHECK_THROWS(read(tensor("t", {1}, 0).tensor("u", {1}, 0, 0)), "overlap");
    read(tensor("t", {8}, 32).tensor("u", {8}, 0, 0)); // side by side, in any order
}

// Gemma's vocabulary: 262208 tokens, scores and types.
TEST(a_vocabulary_of_gemma_s_size_is_read) {
    const uint64_t count = 262208;
    Gguf g;
    g.entry("tokenizer.ggml.tokens", gguf_array).u32(gguf_string).u64(count);
    for (uint64_t i = 0; i < count; ++i) {
        g.entries.text("\xe2\x96\x81token" + std::to_string(i));
    }
    g.entry("tokenizer.ggml.scores", gguf_array).u32(gguf_f32).u64(count);
    for (uint64_t i = 0; i < count; ++i) {
        g.entries.put(-static_cast<float>(i));
    }
    g.entry("tokenizer.ggml.token_type", gguf_array).u32(gguf_i32).u64(count);
    for (uint64_t i = 0; i < count; ++i) {
        g.entries.put<int32_t>(1);
    }
    const std::string bytes = g.build();
    const auto start = std::chrono::steady_clock::now();
    const auto * data = reinterpret_cast<const uint8_t *>(bytes.data());
    const TensorFile f = read_gguf(data, bytes.size(), "m");
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    CHECK(f.metadata.find("tokenizer.ggml.scores")->array("a")[9].number("n") == -9.0);
    CHECK(f.metadata.find("tokenizer.ggml.tokens")->array("a").size() == count);
    std::printf("vocabulary: %.1f MB in %.3f s\n", static_cast<double>(bytes.size()) / 1e6,
                took.count());
}

int main(int argc, char ** argv) { return run_tests(argc, argv); }
