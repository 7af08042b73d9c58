// What is reported about a file.
#include "check.h"
#include "model/describe.h"
#include "model/model_folder.h"

using namespace ltx2;

static Gguf small_gguf() {
    Gguf g;
    g.entry("general.architecture", gguf_string).text("ltxv");
    g.entry("list", gguf_array).u32(gguf_u8).u64(8).raw("abcdefgh");
    g.entry("note", gguf_string).text("line\n" + std::string(100, 'x'));
    g.tensor("model.diffusion_model.transformer_blocks.0.attn1.to_q.weight", {32, 2},
             GGML_TYPE_Q8_0, 0);
    g.tensor("vae.decoder.conv_in.conv.bias", {3}, GGML_TYPE_F32, 96);
    return g.bytes(108);
}

static Json described(const std::string & bytes) {
    const auto * data = reinterpret_cast<const uint8_t *>(bytes.data());
    return describe(read_tensor_file(data, bytes.size(), "m"));
}

TEST(a_file_is_described) {
    const std::string bytes = small_gguf().build();
    const size_t begin = bytes.size() - 108; // of the tensors' bytes
    const Json json = described(bytes);
    CHECK(Json::parse(json.dump(), "again").dump() == json.dump());
    CHECK(json.dump() ==
          R"({"file": "m", "format": "GGUF v3", "parts": [], )"
          R"("problem": "holds no part of LTX-2 that is known", )"
          R"("tensors": 2, "parameters": 67, "bytes": 80, )"
          R"("types": {"f32": {"tensors": 1, "parameters": 3, "bytes": 12}, )"
          R"("q8_0": {"tensors": 1, "parameters": 64, "bytes": 68}}, )"
          R"("license": null, "metadata": {"general.architecture": "ltxv", )"
          R"("list": {"begins": [97, 98, 99, 100, 101, 102], "length": 8}, )"
          R"("note": {"begins": "line\n)" +
              std::string(55, 'x') +
              R"(", "length": 105}}, "tensor_list": [)"
              R"({"name": "model.diffusion_model.transformer_blocks.0.attn1.to_q.weight", )"
              R"("type": "q8_0", "shape": [2, 32], "offset": )" +
              std::to_string(begin) + R"(, "bytes": 68, "sha256": null}, )" +
              R"({"name": "vae.decoder.conv_in.conv.bias", "type": "f32", "shape": [3], )"
              R"("offset": )" +
              std::to_string(begin + 96) + R"(, "bytes": 12, "sha256": null}]})");
}

TEST(a_text_is_cut_between_characters) {
    Gguf g;
    std::string text = "x"; // the 60th byte is within a character
    for (int i = 0; i < 40; ++i)
        text += "\xc3\xa9";
    g.entry("name", gguf_string).text(text);
    const Json json = described(g.build());
    const std::optional<Json> name = json.find("metadata")->find("name");
    CHECK(name->find("begins")->string("") == text.substr(0, 59));
    CHECK(name->find("length")->integer("") == 81);
}

TEST(parts_are_listed_with_what_is_not_used) {
    const Json json = described(file_of(checkpoint_tensors(), {{"model_version", "2.3"}}));
    std::string ids, titles;
    for (const Json & part : json.find("parts")->array("parts")) {
        ids += std::string(part.find("id")->string("")) + " ";
        if (part.find("need")->string("") == "always")
            titles += std::string(part.find("title")->string("")) + "; ";
    }
    CHECK(ids == "projection connector dit video_vae audio_projection audio_vae vocoder ");
    CHECK(titles == "text projection; text connector; diffusion transformer; video VAE; ");
    CHECK(json.find("problem")->kind() == Json::Kind::null);
    const Json other = described(file_of(checkpoint_tensors(), {{"model_version", "2.6"}}));
    CHECK(other.find("parts")->array("").size() == 7);
    CHECK(other.find("problem")->string("") ==
          "states model_version \"2.6\"; LTX-2.0, LTX-2.3 or LTX-2.5 is supported");
}

int main(int argc, char ** argv) { return run_tests(argc, argv); }
