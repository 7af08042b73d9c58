// Files in a folder, whatever they are, opened as a model: which parts they hold, what is stated of
// each, its tokenizer. The input is one file after the other: a name's number, a length, the bytes.
#include "dit/block.h"
#include "fuzz.h"
#include "model/model_folder.h"
#include "text/connector.h"
#include "text/encoder.h"
#include "text/gemma_config.h"
#include "text/tokenizer.h"
#include "vae/config.h"

#include <random>

using namespace ltx2;

static const char * const names[] = {"ltx-2.3.safetensors",
                                     "gemma/model.safetensors",
                                     "gemma/config.json",
                                     "gemma/tokenizer.json",
                                     "gemma/tokenizer.model",
                                     "gemma/model.safetensors.index.json",
                                     "gemma/model-00001-of-00002.safetensors",
                                     "gemma/model-00002-of-00002.safetensors",
                                     "gemma.gguf",
                                     "distilled.gguf"};

template <class Read>
static void part_of(Read read) {
    try {
        read();
    } catch (const Error & e) {
        if (e.status() == LTX2_STATUS_INTERNAL)
            throw;
    }
}

static void use(const Model & model) {
    if (const Part * dit = model.find("dit"))
        part_of([&] { DitConfig config(*dit, true); });
    if (const Part * connector = model.find("connector"))
        part_of([&] { ConnectorConfig config(*connector, ""); });
    if (const Part * vae = model.find("video_vae")) {
        part_of([&] { VaeConfig::encoder(vae->group("vae")); });
        part_of([&] { VaeConfig::decoder(vae->group("vae")); });
    }
    if (const Part * text = model.find("text_encoder")) {
        part_of([&] { gemma_config(*text->file); });
        part_of([&] { Tokenizer::open(*text).encode("a red <bos> circle", 1024); });
    }
    model.need_all();
}

// Files are written in memory where there is such a place: it is most of the time that this takes.
static const std::string & folder() {
    static const std::string path = [] {
        std::error_code error;
        const std::filesystem::path shared = "/dev/shm";
        const std::filesystem::path base = std::filesystem::is_directory(shared, error)
                                               ? shared
                                               : std::filesystem::temp_directory_path();
        return (base / words("ltx2-fuzz-%u", std::random_device()())).string();
    }();
    return path;
}

void run_target(const uint8_t * data, size_t size) {
    std::string_view rest = as_text(data, size);
    struct Files {
        Files() { std::filesystem::create_directories(folder() + "/gemma"); }
        ~Files() { std::filesystem::remove_all(folder()); }
    } files;
    while (rest.size() > 3) {
        const char * name = names[static_cast<uint8_t>(rest[0]) % std::size(names)];
        const size_t length = static_cast<uint8_t>(rest[1]) | static_cast<uint8_t>(rest[2]) << 8;
        rest.remove_prefix(3);
        std::ofstream(folder() + "/" + name, std::ios::binary) << rest.substr(0, length);
        rest.remove_prefix(std::min(length, rest.size()));
    }
    use(Model({folder()}));
}

static std::string packed(const std::vector<std::pair<int, std::string>> & files) {
    std::string out;
    for (const auto & [name, bytes] : files) {
        out += static_cast<char>(name);
        out += static_cast<char>(bytes.size());
        out += static_cast<char>(bytes.size() >> 8);
        out += bytes;
    }
    return out;
}

std::vector<std::string> seeds() {
    const std::string checkpoint =
        file_of(checkpoint_tensors(), {{"config", config}, {"model_version", "2.3.0"}});
    const std::string layers =
        R"({"layers": {"transformer_blocks.0.attn1.to_q": "float8_e4m3fn"}})";
    const std::string coded = file_of(
        checkpoint_tensors(),
        {{"config", config}, {"model_version", "2.3.0"}, {"_quantization_metadata", layers}},
        "F8_E4M3");
    const std::string gemma = file_of(prefixed("model.", gemma_tensors()));
    const std::string json = "{\"model_type\": \"gemma3_text\", " + gemma_json + "}";
    const std::string index = R"({"weight_map": {"a": "model-00001-of-00002.safetensors",
        "b": "model-00002-of-00002.safetensors"}})";
    return {packed({{0, checkpoint}, {1, gemma}, {2, json}, {3, "{}"}}),
            packed({{0, checkpoint}, {8, llama_gemma().build()}}),
            packed({{2, json}, {5, index}, {6, gemma}, {7, file_of({{"other", {2}}})}}),
            packed({{9, llama_gemma("ltxv").build()}}), packed({{0, coded}})};
}

std::vector<std::string> worst_inputs() { return {}; }

std::vector<std::string> dictionary() {
    return {"\"dtype\":\"F8_E4M3\"", "\"config\"",
            "comfy_quant",           "weight_scale",
            "weight_s_rel",          "_quantization_metadata",
            "{\\\"layers\\\":{",     "convrot_w4a4",
            "asym_w4a8_int8",        "nvfp4",
            "general.architecture",  "split.count",
            "model_version",         "lora_A.weight",
            "lora_down.weight",      "model.diffusion_model.",
            "spiece_model",          "audio_vae.",
            "\\u001b[31m",           "\"model_type\"",
            "\"text_config\""};
}
