// Safetensors files that are right, and wrong in one way each.
#include "check.h"
#include "tensor_files.h"

using namespace ltx2;

// One safetensors tensor `a` of 4 bytes, described by `fields`.
static void read_tensor(const std::string & fields, size_t data = 4) {
    read(safetensors("{\"a\":{" + fields + "}}", data));
}

TEST(a_safetensors_file_is_read) {
    const Held held(safetensors(valid_header, 20));
    const TensorFile f = held.file();
    CHECK(f.format == "safetensors" && f.tensors.size() == 4);
    CHECK(f.metadata.find("model_version")->string("s") == "2.3");
    CHECK(f.metadata.find("config")->string("s") == "{\"a\":1}");
    const TensorInfo * b = f.find("b");
    CHECK(b->type == GGML_TYPE_BF16 && std::string_view(b->dtype) == "BF16" && b->size == 12);
    CHECK((b->shape == std::vector<int64_t>{2, 3}));
    CHECK(b->data == held.copy.data() + 8 + std::strlen(valid_header) + 4);
    CHECK(f.find("none")->size == 0 && f.find("none")->elements() == 0);
    CHECK(f.find("one")->shape.empty() && f.find("one")->elements() == 1);
    // A type that ggml lacks is an error where a model uses it (test_model), not here.
    CHECK(f.find("a")->type == GGML_TYPE_COUNT &&
          std::string_view(f.find("a")->dtype) == "F8_E4M3");
    const Held empty(safetensors("{}", 0));
    CHECK(empty.file().tensors.empty() && empty.file().metadata.object("m").empty());
}

TEST(dtypes_are_read) {
    const std::pair<const char *, size_t> dtypes[] = {
        {"F64", 8}, {"F32", 4},     {"F16", 2},     {"BF16", 2}, {"I64", 8},
        {"I32", 4}, {"I16", 2},     {"I8", 1},      {"U8", 1},   {"BOOL", 1},
        {"U16", 2}, {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"U32", 4},  {"U64", 8}};
    for (const auto & [name, size] : dtypes) {
        const std::string header = std::string("{\"t\":{\"dtype\":\"") + name +
                                   "\",\"shape\":[3,5],\"data_offsets\":[0," +
                                   std::to_string(15 * size) + "]}}";
        const Held held(safetensors(header, 15 * size));
        const TensorFile file = held.file();
        const TensorInfo & t = file.tensors[0];
        CHECK(std::string(t.dtype) == name && t.size == 15 * size);
        CHECK(t.type == GGML_TYPE_COUNT || ggml_type_size(t.type) == size);
    }
    read_tensor(R"("dtype":"F4","shape":[8],"data_offsets":[0,4])");
    CHECK_THROWS(read_tensor(R"("dtype":"F4","shape":[7],"data_offsets":[0,4])"), "do not make 4");
    CHECK_THROWS(read_tensor(R"("dtype":"F99","shape":[1],"data_offsets":[0,4])"),
                 "m: tensor \"a\": dtype \"F99\" is unknown");
}

TEST(a_wrong_header_is_refused) {
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

TEST(wrong_tensors_are_refused) {
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

TEST(tensors_fill_the_file) {
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

int main(int argc, char ** argv) { return run_tests(argc, argv); }
