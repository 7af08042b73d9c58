// What is reported about a file.
#include "bytes.h"
#include "check.h"
#include "model/describe.h"

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

TEST(a_file_is_described) {
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

TEST(roles_are_read_off_names) {
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

int main(int argc, char ** argv) { return run_tests(argc, argv); }
