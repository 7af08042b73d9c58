// Files on disk, what is said about them, and how long a large vocabulary takes.
#include "bytes.h"
#include "check.h"
#include "model/describe.h"

#include <chrono>
#include <filesystem>
#include <fstream>

using namespace ltx2;
namespace fs = std::filesystem;

static fs::path folder() {
    static const fs::path path = [] {
        fs::path made =
            fs::temp_directory_path() /
            ("ltx2_test_" +
             std::to_string(std::chrono::steady_clock::now().time_since_epoch().count()));
        fs::create_directories(made);
        return made;
    }();
    return path;
}

static std::string write(const std::string & name, const std::string & bytes) {
    const std::string path = (folder() / name).string();
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
}

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

static void mapping() {
    const std::string bytes = small_gguf().build();
    const std::string path = write("ünicode name.gguf", bytes);
    const ModelFile f = read_model_file(path);
    CHECK(f.path == path && f.mapping->size() == bytes.size());
    CHECK(std::memcmp(f.mapping->data(), bytes.data(), bytes.size()) == 0);
    const TensorInfo & t = f.tensors[1];
    CHECK(t.data >= f.mapping->data() && t.data + t.size <= f.mapping->data() + bytes.size());
    f.mapping->release(t.data, t.size); // gone from memory, and read again when touched
    f.mapping->release(f.mapping->data(), bytes.size());
    f.mapping->release(f.mapping->data() + bytes.size(), 1);
    CHECK(t.data[0] == 1 && t.data[t.size - 1] == 1);
    CHECK(read_gguf(path).tensors.size() == 2);
    CHECK_THROWS(read_safetensors(path), "header");
    CHECK_THROWS(Mapping((folder() / "absent").string()), "absent: there is no such file");
    CHECK_THROWS(Mapping(folder().string()), "is a folder");
    CHECK_THROWS(Mapping(write("empty", "")), "empty: the file is empty");
    CHECK_THROWS(read_model_file(write("words.gguf", "plain words")), "neither GGUF");
    const std::string st = write("a.safetensors", safetensors("{}", 0));
    CHECK(read_model_file(st).format == "safetensors");
}

static void described() {
    const std::string bytes = small_gguf().build();
    const auto * data = reinterpret_cast<const uint8_t *>(bytes.data());
    const ModelFile f = read_gguf(data, bytes.size(), "m.gguf");
    CHECK(describe(f) ==
          "file: m.gguf\nformat: GGUF v3\nroles: dit, video vae\ntensors: 2\nparameters: 67\n"
          "bytes: 80\ntype f32: 1 tensors, 3 parameters, 12 bytes\n"
          "type q8_0: 1 tensors, 64 parameters, 68 bytes\n"
          "metadata general.architecture: \"ltxv\"\n"
          "metadata list: [97, 98, 99, 100, 101, 102, ...] (8 values)\n"
          "metadata note: \"line\\n" +
              std::string(55, 'x') +
              "\"...\n"
              "tensor model.diffusion_model.transformer_blocks.0.attn1.to_q.weight: q8_0 [2, 32]\n"
              "tensor vae.decoder.conv_in.conv.bias: f32 [3]\n");
}

static void guessed_roles() {
    const auto of = [](const std::string & name) {
        Gguf g;
        const std::string bytes = g.tensor(name, {1}, GGML_TYPE_F32, 0).bytes(4).build();
        const auto * data = reinterpret_cast<const uint8_t *>(bytes.data());
        const std::vector<std::string> found = roles(read_gguf(data, bytes.size(), "m"));
        CHECK(found.size() < 2);
        return found.empty() ? std::string() : found[0];
    };
    CHECK(of("transformer_blocks.0.attn1.to_q.weight") == "dit");
    CHECK(of("model.diffusion_model.video_embeddings_connector.learnable_registers") ==
          "connector");
    CHECK(of("video_embeddings_connector.transformer_1d_blocks.0.attn1.to_q.weight") ==
          "connector");
    CHECK(of("text_embedding_projection.video_aggregate_embed.weight") == "projection");
    CHECK(of("vae.encoder.conv_in.conv.weight") == "video vae");
    CHECK(of("decoder.up_blocks.0.res_blocks.0.conv1.conv.weight") == "video vae");
    CHECK(of("token_embd.weight") == "text encoder");
    CHECK(of("language_model.model.embed_tokens.weight") == "text encoder");
    CHECK(of("language_model.model.layers.3.input_layernorm.weight") == "text encoder");
    CHECK(of("blk.3.attn_norm.weight") == "text encoder");
    CHECK(of("audio_vae.decoder.conv_in.conv.weight") == "audio vae");
    CHECK(of("model.diffusion_model.audio_embeddings_connector.learnable_registers").empty());
    CHECK(of("diffusion_model.transformer_blocks.0.attn1.to_q.lora_A.weight") == "lora");
    CHECK(of("something.else").empty());
}

// Gemma's vocabulary: 262208 tokens, scores and types.
static void vocabulary() {
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
    const ModelFile f = read_gguf(data, bytes.size(), "m");
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    CHECK(f.metadata.find("tokenizer.ggml.scores")->array("a")[9].number("n") == -9.0);
    CHECK(f.metadata.find("tokenizer.ggml.tokens")->array("a").size() == count);
    std::printf("vocabulary: %.1f MB in %.3f s\n", static_cast<double>(bytes.size()) / 1e6,
                took.count());
}

int main() {
    mapping();
    described();
    guessed_roles();
    vocabulary();
    fs::remove_all(folder());
    return check_result();
}
