// GGUF and safetensors files that are right, and wrong in one way each.
#include "bytes.h"
#include "check.h"
#include "files/tensor_file.h"
#include "model/describe.h"

#include <cstdlib>
#include <functional>
#include <limits>
#include <set>

using namespace ltx2;

// On the heap and of the exact size, so that a sanitizer sees a read past the end.
struct Held {
    explicit Held(const std::string & bytes) : copy(bytes.begin(), bytes.end()) {}
    std::vector<uint8_t> copy;
    ModelFile file() const { return read_model_file(copy.data(), copy.size(), "m"); }
};

static void read(const std::string & bytes) { Held(bytes).file(); }
static void read(const Gguf & gguf) { read(gguf.build()); }

static Gguf valid_gguf() {
    Gguf g;
    g.entry("general.architecture", gguf_string).text("ltxv");
    g.entry("n", gguf_u32).u32(7);
    g.entry("list", gguf_array).u32(gguf_array).u64(2);
    g.entries.u32(gguf_string).u64(2).text("a").text("\xc3\xa9");
    g.entries.u32(gguf_f32).u64(1).put(0.5f);
    g.tensor("a", {32, 2}, GGML_TYPE_Q8_0, 0).bytes(96); // 68 bytes and a hole
    g.tensor("b", {3, 1, 2}, GGML_TYPE_F16, 96).bytes(12);
    return g;
}

static const char * const valid_header =
    R"({"__metadata__":{"config":"{\"a\":1}","model_version":"2.3"},)"
    R"("b":{"dtype":"BF16","shape":[2,3],"data_offsets":[4,16]},)"
    R"("a":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]},)"
    R"("none":{"dtype":"F32","shape":[0,9],"data_offsets":[4,4]},)"
    R"("one":{"dtype":"F32","shape":[],"data_offsets":[16,20]}}   )";

// One safetensors tensor `a` of 4 bytes, told in `fields`.
static void read_tensor(const std::string & fields, size_t data = 4) {
    read(safetensors("{\"a\":{" + fields + "}}", data));
}

static void gguf_valid() {
    for (const uint32_t version : {2u, 3u}) {
        Gguf g = valid_gguf();
        g.version = version;
        const Held held(g.build());
        const ModelFile f = held.file();
        CHECK(f.format == (version == 2 ? "GGUF v2" : "GGUF v3") && f.path == "m");
        CHECK(f.metadata.find("general.architecture")->string("s") == "ltxv");
        CHECK(f.metadata.find("n")->integer("i") == 7);
        const Json::Array & list = f.metadata.find("list")->array("a");
        CHECK(list.size() == 2 && list[0].array("a")[1].string("s") == "\xc3\xa9");
        CHECK(list[1].array("a")[0].number("n") == 0.5);
        CHECK(f.tensors.size() == 2 && f.find("c") == nullptr);
        const TensorInfo * a = f.find("a");
        const TensorInfo * b = f.find("b");
        CHECK(a->type == GGML_TYPE_Q8_0 && a->dtype == "q8_0" && a->size == 68);
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

static void gguf_value_types() {
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
    const ModelFile f = held.file();
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
static void gguf_tensor_types() {
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

static void gguf_header() {
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

static void gguf_metadata() {
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

static void gguf_alignment() {
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

static void gguf_tensors() {
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

static void safetensors_valid() {
    const Held held(safetensors(valid_header, 20));
    const ModelFile f = held.file();
    CHECK(f.format == "safetensors" && f.tensors.size() == 4);
    CHECK(f.metadata.find("model_version")->string("s") == "2.3");
    CHECK(f.metadata.find("config")->string("s") == "{\"a\":1}");
    const TensorInfo * b = f.find("b");
    CHECK(b->type == GGML_TYPE_BF16 && b->dtype == "BF16" && b->size == 12);
    CHECK((b->shape == std::vector<int64_t>{2, 3}));
    CHECK(b->data == held.copy.data() + 8 + std::strlen(valid_header) + 4);
    CHECK(f.find("none")->size == 0 && f.find("none")->elements() == 0);
    CHECK(f.find("one")->shape.empty() && f.find("one")->elements() == 1);
    // A type that ggml lacks is an error where a model uses it (test_model), not here.
    CHECK(f.find("a")->type == GGML_TYPE_COUNT && f.find("a")->dtype == "F8_E4M3");
    const Held empty(safetensors("{}", 0));
    CHECK(empty.file().tensors.empty() && empty.file().metadata.object("m").empty());
}

static void safetensors_dtypes() {
    const std::pair<const char *, size_t> dtypes[] = {
        {"F64", 8}, {"F32", 4},     {"F16", 2},     {"BF16", 2}, {"I64", 8},
        {"I32", 4}, {"I16", 2},     {"I8", 1},      {"U8", 1},   {"BOOL", 1},
        {"U16", 2}, {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"U32", 4},  {"U64", 8}};
    for (const auto & [name, size] : dtypes) {
        const std::string header = std::string("{\"t\":{\"dtype\":\"") + name +
                                   "\",\"shape\":[3,5],\"data_offsets\":[0," +
                                   std::to_string(15 * size) + "]}}";
        const Held held(safetensors(header, 15 * size));
        const ModelFile file = held.file();
        const TensorInfo & t = file.tensors[0];
        CHECK(t.dtype == name && t.size == 15 * size);
        CHECK(t.type == GGML_TYPE_COUNT || ggml_type_size(t.type) == size);
    }
    read_tensor(R"("dtype":"F4","shape":[8],"data_offsets":[0,4])");
    CHECK_THROWS(read_tensor(R"("dtype":"F4","shape":[7],"data_offsets":[0,4])"), "do not make 4");
    CHECK_THROWS(read_tensor(R"("dtype":"F99","shape":[1],"data_offsets":[0,4])"),
                 "m: tensor \"a\": dtype \"F99\" is unknown");
}

static void safetensors_header() {
    const uint64_t wrapping[] = {1000, uint64_t{1} << 63, UINT64_MAX, UINT64_MAX - 7, 100000001};
    for (const uint64_t length : wrapping) {
        CHECK_THROWS(read(Bytes().u64(length).raw("{}").data), "the header is said to be");
    }
    const Held brief("1234567");
    CHECK_THROWS(read_safetensors(brief.copy.data(), 7, "m"), "m: not a safetensors file: 7 bytes");
    const Held blank(Bytes().u64(0).raw("{}").data);
    CHECK_THROWS(blank.file(), "does not begin with '{'");
    CHECK_THROWS(read(safetensors("{\"a\"", 0)), "m: header: ");
    CHECK_THROWS(read(safetensors("{}{}", 0)), "m: header: something follows");
    CHECK_THROWS(read(safetensors("{\"\xff\":1}", 0)), "m: header: is not UTF-8");
    CHECK_THROWS(read(safetensors("{\"a\":" + std::string(100000, '['), 0)), "nested too deep");
    CHECK_THROWS(read(safetensors("{\"__metadata__\":[]}", 0)), "__metadata__: is an array");
    CHECK_THROWS(read(safetensors("{\"__metadata__\":{\"a\":1}}", 0)),
                 "__metadata__: \"a\": is a n");
    CHECK_THROWS(read(safetensors("{\"a\":1}", 0)), "tensor \"a\": is a number, not an object");
}

static void safetensors_tensors() {
    CHECK_THROWS(read_tensor(R"("shape":[1],"data_offsets":[0,4])"), "\"a\": no dtype");
    CHECK_THROWS(read_tensor(R"("dtype":"F32","data_offsets":[0,4])"), "\"a\": no shape");
    CHECK_THROWS(read_tensor(R"("dtype":"F32","shape":[1])"), "\"a\": no data_offsets");
    CHECK_THROWS(read_tensor(R"("dtype":1,"shape":[1],"data_offsets":[0,4])"),
                 "dtype: is a number");
    CHECK_THROWS(read_tensor(R"("dtype":"F32","shape":1,"data_offsets":[0,4])"), "shape: is a num");
    const auto shape = [](const char * dimensions) {
        read_tensor(std::string("\"dtype\":\"F32\",\"data_offsets\":[0,4],\"shape\":") +
                    dimensions);
    };
    shape("[1,1,1,1,1,1,1,1]");
    CHECK_THROWS(shape("[1,1,1,1,1,1,1,1,1]"), "9 dimensions; at most 8");
    CHECK_THROWS(shape("[-1]"), "a dimension is -1");
    CHECK_THROWS(shape("[1.5]"), "shape: 1.5 is not an integer");
    CHECK_THROWS(shape("[\"1\"]"), "shape: is a string");
    CHECK_THROWS(shape("[2]"), "its shape and F32 do not make 4 bytes");
    CHECK_THROWS(shape("[0]"), "do not make 4 bytes");
    CHECK_THROWS(shape("[9223372036854775807]"), "do not make 4 bytes");
    CHECK_THROWS(shape("[4611686018427387905]"), "do not make 4 bytes"); // 4 bytes, modulo 2^64
    CHECK_THROWS(shape("[4294967296,4294967296]"), "do not make 4 bytes");
    CHECK_THROWS(shape("[0,4294967296,4294967296]"), "do not make 4 bytes");
    const auto offsets = [](const char * range) {
        read_tensor(std::string("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":") + range);
    };
    CHECK_THROWS(offsets("[0]"), "1 data_offsets, not 2");
    CHECK_THROWS(offsets("[0,4,8]"), "3 data_offsets, not 2");
    CHECK_THROWS(offsets("[4,0]"), "data_offsets [4, 0]");
    CHECK_THROWS(offsets("[-4,0]"), "data_offsets [-4, 0]");
    CHECK_THROWS(offsets("[0,8]"), "[0, 8] of 4 bytes of data; the file is not complete");
    CHECK_THROWS(offsets("[9223372036854775803,9223372036854775807]"), "the file is not complete");
    CHECK_THROWS(offsets("[0,18446744073709551620]"), "data_offsets: ");
    CHECK_THROWS(offsets("[0,4.5]"), "is not an integer");
    CHECK_THROWS(offsets("[\"0\",4]"), "data_offsets: is a string");
}

static void safetensors_layout() {
    const auto two = [](const char * a, const char * b, size_t data) {
        const std::string fields = "{\"dtype\":\"I8\",\"shape\":[4],\"data_offsets\":";
        read(safetensors("{\"a\":" + fields + a + "},\"b\":" + fields + b + "}}", data));
    };
    two("[4,8]", "[0,4]", 8);
    CHECK_THROWS(two("[0,4]", "[2,6]", 6), "tensors \"a\" and \"b\" overlap");
    CHECK_THROWS(two("[0,4]", "[0,4]", 4), "overlap");
    CHECK_THROWS(two("[0,4]", "[5,9]", 9), "tensor \"b\": begins at 5, where 4 was due");
    CHECK_THROWS(two("[1,5]", "[5,9]", 9), "tensor \"a\": begins at 1, where 0 was due");
    CHECK_THROWS(two("[0,4]", "[4,8]", 9), "1 bytes follow the last tensor");
    CHECK_THROWS(two("[0,4]", "[4,8]", 7), "the file is not complete");
    const std::string one = "{\"dtype\":\"I8\",\"shape\":[4],\"data_offsets\":[0,4]}";
    CHECK_THROWS(read(safetensors("{\"a\":" + one + ",\"a\":" + one + "}", 4)), "occurs twice");
    CHECK_THROWS(read(safetensors("{\"\":" + one + "}", 4)), "an empty name");
    CHECK_THROWS(read(safetensors("{\"a\\u0000\":" + one + "}", 4)), "a zero byte");
}

// A file that ends anywhere before its end is an error, never a shorter success.
static void truncated() {
    for (const std::string & whole : {valid_gguf().build(), safetensors(valid_header, 20)}) {
        read(whole);
        for (size_t size = 0; size < whole.size(); ++size) {
            CHECK_THROWS(read(whole.substr(0, size)), "m: ");
        }
    }
}

// Every tensor of a file that was read lies within it: touch the first and last byte.
static void touch(const std::vector<uint8_t> & bytes) {
    const ModelFile f = read_model_file(bytes.data(), bytes.size(), "m");
    std::set<std::string> names;
    for (const TensorInfo & t : f.tensors) {
        CHECK(names.insert(t.name).second && f.find(t.name) == &t);
        CHECK(t.data >= bytes.data() && t.data + t.size <= bytes.data() + bytes.size());
        CHECK(t.size == 0 || t.data[0] + t.data[t.size - 1] <= 510);
    }
    CHECK(!describe(f).empty());
}

// Random damage: a table or an Error, nothing else. LTX2_MUTATIONS asks for another number.
static void mutated() {
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

int main() {
    gguf_valid();
    gguf_value_types();
    gguf_tensor_types();
    gguf_header();
    gguf_metadata();
    gguf_alignment();
    gguf_tensors();
    safetensors_valid();
    safetensors_dtypes();
    safetensors_header();
    safetensors_tensors();
    safetensors_layout();
    truncated();
    mutated();
    return check_result();
}
