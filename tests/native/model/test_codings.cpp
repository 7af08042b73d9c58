// ComfyUI's formats as files state them: what is recognised, and what is refused with which words.
#include "model/codings.h"

#include "check.h"
#include "model_folder.h"

using namespace ltx2;

namespace {

struct Stored {
    std::string dtype;
    std::vector<int64_t> shape;
    std::string bytes; // empty: zeros, or ones of F32
};
using Tensors = std::map<std::string, Stored>;

size_t bytes_of(const Stored & t) {
    size_t size = t.dtype == "F32" ? 4 : t.dtype == "BF16" || t.dtype == "F16" ? 2 : 1;
    for (int64_t n : t.shape)
        size *= static_cast<size_t>(n);
    return size;
}

Stored text(const std::string & json) { return {"U8", {static_cast<int64_t>(json.size())}, json}; }
Stored numbers(const std::vector<float> & values, std::vector<int64_t> shape) {
    return {"F32", std::move(shape),
            std::string(reinterpret_cast<const char *>(values.data()), values.size() * 4)};
}

// The file and the tensors of one module of the DiT in it, found.
class Opened {
public:
    explicit Opened(const Tensors & tensors, const std::string & metadata = "") {
        std::string header = "{\"__metadata__\":{";
        if (!metadata.empty())
            header += "\"_quantization_metadata\":" + quoted(metadata);
        header += "}";
        for (const auto & [name, t] : tensors) {
            std::string shape;
            for (int64_t n : t.shape)
                shape += (shape.empty() ? "" : ",") + std::to_string(n);
            const size_t size = bytes_of(t);
            header += "," + quoted(name) + ":{\"dtype\":\"" + t.dtype + "\",\"shape\":[" + shape +
                      "],\"data_offsets\":[" + std::to_string(data_.size()) + "," +
                      std::to_string(data_.size() + size) + "]}";
            std::string bytes = t.bytes.empty() ? std::string(size, '\0') : t.bytes;
            for (size_t i = 0; t.bytes.empty() && t.dtype == "F32" && i < size; i += 4)
                bytes.replace(i, 4, std::string("\0\0\x80\x3f", 4));
            data_ += bytes;
        }
        data_ = Bytes().text(header + "}").raw(data_).data;
        file_ =
            read_tensor_file(reinterpret_cast<const uint8_t *>(data_.data()), data_.size(), "m");
        for (const TensorInfo & tensor : file_.tensors)
            index_["b." + tensor.name] = {&tensor, &file_};
        find_codings(index_, {&file_});
    }
    const Source & weight(const std::string & name = "a.weight") const {
        return index_.at("b." + name);
    }
    const Coding & coding() const { return *weight().coding; }
    size_t size() const { return index_.size(); }
    std::vector<float> decoded() const {
        std::vector<float> out(static_cast<size_t>(weight().elements()));
        coding().decode(0, weight().elements(), out.data());
        return out;
    }

private:
    std::string data_;
    TensorFile file_;
    Index index_;
};

const Tensors int8 = {{"a.weight", {"I8", {8, 64}, ""}}, {"a.weight_scale", {"F32", {8, 1}, ""}}};
const Tensors w4a8 = {
    {"a.weight", {"I8", {8, 32}, ""}},
    {"a.weight_s_rel", {"F8_E4M3", {8, 4}, ""}},
    {"a.weight_s_channel", {"F32", {8}, ""}},
    {"a.comfy_quant", text(R"({"format":"asym_w4a8_int8","convrot_groupsize":64})")}};
const Tensors nvfp4 = {{"a.weight", {"U8", {16, 24}, ""}},
                       {"a.weight_scale", {"F8_E4M3", {128, 4}, ""}},
                       {"a.weight_scale_2", {"F32", {}, ""}},
                       {"a.comfy_quant", text(R"({"format":"nvfp4"})")}};
const Tensors mxfp8 = {{"a.weight", {"F8_E4M3", {32, 64}, ""}},
                       {"a.weight_scale", {"U8", {128, 4}, ""}},
                       {"a.comfy_quant", text(R"({"format":"mxfp8"})")}};

Tensors with(Tensors tensors, const std::string & name, Stored stored) {
    tensors[name] = std::move(stored);
    return tensors;
}
Tensors without(Tensors tensors, const std::string & name) {
    tensors.erase(name);
    return tensors;
}
Tensors marked(const Tensors & tensors, const std::string & json) {
    return with(tensors, "a.comfy_quant", text(json));
}

TEST(fp8_by_its_dtype) {
    const Tensors bare = {{"a.weight", {"F8_E4M3", {2, 3}, "\x38\x40\x30\x38\x38\xb8"}},
                          {"a.bias", {"F8_E5M2", {2}, "\x3c\x40"}}};
    CHECK(Opened(bare).decoded() == (std::vector<float>{1, 2, 0.5f, 1, 1, -1}));
    CHECK(Opened(bare).weight("a.bias").coding->format == Format::e5m2);
    for (const char * name : {"a.weight_scale", "a.scale_weight"}) {
        const Opened one(with(bare, name, numbers({3}, {})));
        CHECK(one.decoded()[1] == 6 && one.size() == 2);
        const Opened rows(with(bare, name, numbers({3, 5}, {2, 1})));
        CHECK(rows.decoded() == (std::vector<float>{3, 6, 1.5f, 5, 5, -5}));
    }
    const Opened marked_too(
        with(with(bare, "scaled_fp8", {"F32", {0}, ""}), "a.scale_weight", numbers({3}, {1})));
    CHECK(marked_too.decoded()[0] == 3);
    CHECK(!Opened({{"a.weight", {"BF16", {2, 2}, ""}}}).weight().coding);
}

TEST(a_marker_is_a_tensor_or_stands_in_the_metadata) {
    const auto check = [](const Opened & found, int64_t rotated) {
        CHECK(found.coding().format == Format::int8 && found.coding().scale_of_row);
        CHECK(found.coding().rotated_group == rotated && found.size() == 1);
    };
    const std::string plain = R"({"format": "int8_tensorwise")";
    check(Opened(marked(int8, plain + "}")), 0);
    check(Opened(marked(int8, plain + std::string("}\0\0 \n", 5))), 0);
    check(Opened(marked(int8, plain + R"(,"convrot":true,"convrot_groupsize":64})")), 64);
    check(Opened(marked(int8, plain + R"(,"params":{"convrot":true,"convrot_groupsize":16}})")),
          16);
    check(Opened(marked(int8, plain + R"(,"per_row":true,"orig_shape":[1],"convrot":false})")), 0);
    check(Opened(int8, R"({"layers":{"a":{"format":"int8_tensorwise"}}})"), 0);
    check(Opened(int8, R"({"layers":{"a":"int8_tensorwise","c":"nonsense"}})"), 0);
    // The tensor comes first.
    check(Opened(marked(int8, plain + "}"), R"({"layers":{"a":"nvfp4"}})"), 0);
    Tensors prefixed;
    for (const auto & [name, stored] : int8)
        prefixed["model.diffusion_model." + name] = stored;
    const Opened found(prefixed, R"({"layers":{"a":"int8_tensorwise"}})");
    CHECK(found.weight("model.diffusion_model.a.weight").coding && found.size() == 1);
}

TEST(codes_of_4_bits_hold_more_columns_than_bytes) {
    const Tensors w4a4 =
        marked({{"a.weight", {"I8", {8, 32}, ""}}, {"a.weight_scale", {"F32", {8}, ""}}},
               R"({"format":"convrot_w4a4","convrot_groupsize":64})");
    const std::vector<int64_t> shape = {8, 64};
    CHECK(Opened(w4a4).weight().shape() == shape);
    CHECK(Opened(w4a8).weight().shape() == shape && Opened(w4a8).coding().format == Format::w4a8);
    const Tensors six = with(w4a8, "a.weight", {"I8", {8, 48}, ""});
    CHECK(Opened(six).weight().shape() == shape && Opened(six).coding().format == Format::w6a8);
    CHECK(Opened(nvfp4).weight().shape() == (std::vector<int64_t>{16, 48}));
    CHECK(Opened(mxfp8).weight().shape() == (std::vector<int64_t>{32, 64}));
    CHECK(Opened(w4a8).size() == 1 && Opened(nvfp4).size() == 1 && Opened(mxfp8).size() == 1);
    CHECK_THROWS(Opened(marked(w4a4, R"({"format":"convrot_w4a4"})")),
                 "module \"a\" in convrot_w4a4: convrot_groupsize is 256, and a row has 64 values");
}

TEST(what_is_not_known_is_refused) {
    CHECK_THROWS(Opened(marked(int8, R"({"format":"int7\u001b[31m"})")),
                 "module \"a\": format \"int7\\x1b[31m\" is unknown");
    CHECK_THROWS(Opened(int8, R"({"layers":{"a":"int7"}})"), "module \"a\": format \"int7\" is");
    CHECK_THROWS(Opened(marked(int8, "{}")), "module \"a\": format");
    CHECK_THROWS(Opened(marked(int8, "3")), "module \"a\": format");
    CHECK_THROWS(Opened(marked(int8, R"({"format":)")), "module \"a\": comfy_quant");
    CHECK_THROWS(Opened(int8, "nonsense"), "_quantization_metadata");
    CHECK_THROWS(Opened(int8, R"({"layers":3})"), "_quantization_metadata: layers");
    CHECK_THROWS(Opened(marked(int8, R"({"format":"int8_tensorwise","convrot":"yes"})")),
                 "module \"a\": convrot");
    for (const char * group : {"0", "-4", "48", "128", "1e30", "65537", "\"64\""})
        CHECK_THROWS(
            Opened(marked(int8, std::string(R"({"format":"int8_tensorwise","convrot":true,)") +
                                    R"("convrot_groupsize":)" + group + "}")),
            "convrot_groupsize");
    const std::string giant = R"({"format":"int8_tensorwise","x":")" + std::string(65536, 'x');
    CHECK_THROWS(Opened(marked(int8, giant + "\"}")), "comfy_quant has 655");
}

TEST(scales_must_fit) {
    const auto refused = [](const Tensors & tensors, const char * words) {
        CHECK_THROWS(Opened(tensors), words);
    };
    const Tensors rows = marked(int8, R"({"format":"int8_tensorwise"})");
    refused(without(rows, "a.weight_scale"), "int8_tensorwise: weight_scale is missing");
    refused(with(rows, "a.weight_scale", {"F32", {7}, ""}), "weight_scale holds 7 numbers, not 8");
    refused(with(rows, "a.weight_scale", {"F32", {0}, ""}), "weight_scale holds 0 numbers");
    refused(with(rows, "a.weight_scale", {"I8", {8}, ""}), "weight_scale is I8");
    refused(with(rows, "a.weight_scale", numbers({std::nanf("")}, {})),
            "weight_scale is not finite");
    refused(with(rows, "a.weight", {"F32", {8, 64}, ""}), "its weight is F32, not I8");
    refused(with(rows, "a.weight", {"I8", {8, 8, 8}, ""}), "its weight is no matrix");
    refused(with(rows, "a.weight", {"I8", {8, 0}, ""}), "its weight is no matrix");
    refused(without(w4a8, "a.weight_s_rel"), "weight_s_rel is missing");
    refused(without(w4a8, "a.weight_s_channel"), "weight_s_channel is missing");
    refused(with(w4a8, "a.weight_s_rel", {"F8_E4M3", {8, 5}, ""}),
            "its rows of 32 bytes do not hold 80 codes of 4 or 6 bits");
    refused(with(w4a8, "a.weight_s_rel", {"F8_E4M3", {32}, ""}), "weight_s_rel is no matrix");
    refused(with(w4a8, "a.weight_s_rel", {"F8_E4M3", {4, 4}, ""}), "holds 16 numbers, not 32");
    refused(with(w4a8, "a.weight_codebook", {"F32", {15}, ""}), "weight_codebook holds 15");
    std::vector<float> levels(16);
    levels[3] = INFINITY;
    refused(with(w4a8, "a.weight_codebook", numbers(levels, {16})), "codebook is not finite");
    refused(with(w4a8, "a.weight_correction", {"F32", {4, 7}, ""}), "weight_correction holds 28");
    const Tensors six = with(w4a8, "a.weight", {"I8", {8, 48}, ""});
    refused(with(six, "a.weight_codebook", {"F32", {16}, ""}), "codes of 6 bits have no codebook");
    refused(without(nvfp4, "a.weight_scale_2"), "nvfp4: weight_scale_2 is missing");
    refused(with(nvfp4, "a.weight_scale", {"F8_E4M3", {16, 3}, ""}), "holds 48 numbers, not 512");
    refused(with(nvfp4, "a.weight", {"U8", {16, 20}, ""}), "its rows have 40 values");
    refused(with(mxfp8, "a.weight_scale", {"F8_E4M3", {128, 4}, ""}), "weight_scale is F8_E4M3");
    refused(with(mxfp8, "a.weight", {"U8", {32, 64}, ""}), "its weight is U8, not F8_E4M3");
    refused(marked({{"a.weight", {"F8_E5M2", {2, 2}, ""}}}, R"({"format":"float8_e4m3fn"})"),
            "its weight is F8_E5M2, not F8_E4M3");
}

// A refusal is about the parts that are used, and says less than that it is another model.
TEST(a_file_is_refused_in_one_sentence) {
    Shapes shapes = prefixed("model.diffusion_model.", dit_tensors);
    shapes.erase("model.diffusion_model.transformer_blocks.0.attn1.to_q.weight");
    const std::string text = R"({"layers": {"transformer_blocks.0.ff.net.0.proj": "int9"}})";
    const std::string bytes =
        file_of(shapes, {{"model_version", "2.3"}, {"_quantization_metadata", text}});
    const TensorFile file =
        read_tensor_file(reinterpret_cast<const uint8_t *>(bytes.data()), bytes.size(), "m");
    CHECK(recognise({&file}).problem ==
          "module \"model.diffusion_model.transformer_blocks.0.ff.net.0.proj\": format \"int9\" is "
          "unknown");
}

} // namespace

int main(int argc, char ** argv) { return run_tests(argc, argv); }
