// Runs one component of the model on given arrays, for comparison with the reference:
//     ltx2_tap COMPONENT MODEL[,MODEL...] OUT [name=value ...]
// Values are .npy files, numbers or words, as the component takes them; `device` and `threads` are
// taken by all. What the component gives, and every tapped value, is written as OUT/<name>.npy.
#include "dit/dit.h"
#include "files/tensor_file.h"
#include "graph/weights.h"
#include "model/model.h"
#include "npy.h"
#include "npy_file.h"
#include "text/connector.h"
#include "text/gemma3.h"
#include "text/gemma3_config.h"
#include "text/tokenizer.h"
#include "vae/image.h"
#include "vae/video_vae.h"

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <map>

using namespace ltx2;

namespace {

struct Job {
    std::map<std::string, std::string> options;
    std::string model, out;
    std::deque<ModelFile> files; // tensors are pointed at: they must not move
    Index index;
    Json config;
    Device device;

    Job(int argc, char ** argv)
        : options(parse(argc, argv)), model(argv[2]), out(argv[3]),
          device(text("device", "CPU"), integer("threads", 1)) {
        std::istringstream paths(argv[2]);
        for (std::string path; std::getline(paths, path, ',');)
            if (!std::filesystem::is_directory(path))
                add(path);
        if (!integer("taps", 1))
            return;
        device.tap = [this](const std::string & name, Shape ne, const float * data) {
            save(name, {ne[3], ne[2], ne[1], ne[0]}, data);
        };
    }

    void add(const std::string & path) {
        files.push_back(read_model_file(path));
        const ModelFile & file = files.back();
        for (const TensorInfo & info : file.tensors) {
            const std::string prefix = "model.diffusion_model.";
            const bool inside = info.name.compare(0, prefix.size(), prefix) == 0;
            Source & source = index[inside ? info.name.substr(prefix.size()) : info.name];
            source.info = &info;
            source.mapping = file.mapping;
            source.path = path;
        }
        if (const Json * text = file.metadata.find("config"))
            config = Json::parse(text->string("config"), path + ": config");
    }
    static std::map<std::string, std::string> parse(int argc, char ** argv) {
        std::map<std::string, std::string> options;
        for (int i = 4; i < argc; ++i) {
            const std::string word = argv[i];
            const size_t sign = word.find('=');
            if (sign == std::string::npos)
                fail(LTX2_STATUS_INVALID_ARGUMENT, "%s: is not name=value", argv[i]);
            options[word.substr(0, sign)] = word.substr(sign + 1);
        }
        return options;
    }
    std::string text(const std::string & name, const std::string & otherwise) const {
        const auto it = options.find(name);
        return it == options.end() ? otherwise : it->second;
    }
    int integer(const std::string & name, int otherwise) const {
        return std::atoi(text(name, std::to_string(otherwise)).c_str());
    }
    npy::Array array(const std::string & name) const { return npy::read(text(name, "")); }
    template <class T>
    void save(const std::string & name, const std::vector<int64_t> & shape, const T * data,
              const char * type = "<f4") const {
        size_t bytes = sizeof(T);
        for (int64_t side : shape)
            bytes *= static_cast<size_t>(side);
        write_npy(out + "/" + name + ".npy", type, shape, data, bytes);
    }
};

// latent [tokens, channels], mask [tokens], positions [3, tokens, 2] (start, end), context
// [rows, width], sigma; stg_blocks [n] perturbs. Gives velocity, perturbed.velocity.
void dit(Job & job) {
    const npy::Array latent = job.array("latent");
    State state;
    state.tokens = latent.shape.at(0);
    state.channels = static_cast<int>(latent.shape.at(1));
    state.latents = latent.floats();
    state.mask = job.array("mask").floats();
    const std::vector<float> spans = job.array("positions").floats();
    const auto middle = [&](int64_t axis, int64_t token) {
        const size_t at = static_cast<size_t>((axis * state.tokens + token) * 2);
        return (spans.at(at) + spans.at(at + 1)) / 2;
    };
    std::vector<Position> positions;
    for (int64_t t = 0; t < state.tokens; ++t)
        positions.push_back({middle(0, t), middle(1, t), middle(2, t)});
    std::vector<int> stg_blocks;
    if (job.options.count("stg_blocks"))
        stg_blocks = job.array("stg_blocks").as<int32_t>("<i4");

    Dit dit(job.device, job.index, job.config, Progress());
    dit.prepare(positions, job.array("context").floats(), {}, stg_blocks);
    const Velocities v = dit.velocity(state, job.array("sigma").floats().at(0), Progress());
    job.save("velocity", latent.shape, v.plain.data());
    if (!v.perturbed.empty())
        job.save("perturbed.velocity", latent.shape, v.perturbed.data());
}

// picture, uint8 [height, width, 3]; height, width -> pixels [1, height, width, 3]
void image(Job & job) {
    const npy::Array picture = job.array("picture");
    const int height = job.integer("height", 0), width = job.integer("width", 0);
    const std::vector<float> pixels =
        cover(picture.as<uint8_t>("|u1").data(), static_cast<int>(picture.shape.at(1)),
              static_cast<int>(picture.shape.at(0)), width, height);
    job.save("pixels", {1, height, width, 3}, pixels.data());
}

// pixels=clip.npy, uint8 [frames, height, width, 3] -> latent
void vae_encode(Job & job) {
    const npy::Array clip = job.array("pixels");
    std::vector<float> pixels;
    for (uint8_t byte : clip.as<uint8_t>("|u1"))
        pixels.push_back(static_cast<float>(byte) / 127.5f - 1.0f);
    const int frames = static_cast<int>(clip.shape.at(0)),
              height = static_cast<int>(clip.shape.at(1)),
              width = static_cast<int>(clip.shape.at(2));
    VideoVae vae(job.device, job.index, job.config);
    vae.window = static_cast<size_t>(job.integer("window", static_cast<int>(vae.window)));
    const std::vector<float> latent = vae.encode(pixels.data(), frames, height, width, Progress());
    job.save("latent",
             {vae.latent_channels(), 1 + (frames - 1) / vae.time_scale(),
              height / vae.pixel_scale(), width / vae.pixel_scale()},
             latent.data());
}

// latent [channels, frames, height, width] -> pixels, uint8 [frames, height, width, 3]
void vae_decode(Job & job) {
    const npy::Array latent = job.array("latent");
    VideoVae vae(job.device, job.index, job.config);
    vae.window = static_cast<size_t>(job.integer("window", static_cast<int>(vae.window)));
    const int scale = vae.pixel_scale(), frames = static_cast<int>(latent.shape.at(1)),
              height = static_cast<int>(latent.shape.at(2)),
              width = static_cast<int>(latent.shape.at(3));
    std::vector<uint8_t> pixels;
    vae.decode(latent.floats().data(), frames, height, width, Progress(),
               [&](const uint8_t * rows, int, int count) {
                   const int64_t bytes = int64_t{count} * height * width * scale * scale * 3;
                   pixels.insert(pixels.end(), rows, rows + bytes);
               });
    job.save("pixels", {1 + (frames - 1) * vae.time_scale(), height * scale, width * scale, 3},
             pixels.data(), "|u1");
}

// patches [frames, height, width, channels], what conv_in reads -> what conv_out gives, in windows
void vae_chain(Job & job) {
    const npy::Array patches = job.array("patches");
    const std::string half = job.text("half", "decoder");
    const VaeConfig config =
        half == "decoder" ? VaeConfig::decoder(job.config) : VaeConfig::encoder(job.config);
    VaeChain chain(job.device, job.index, "vae." + half, config);
    chain.load(Progress());
    std::vector<float> all;
    Shape ne{};
    const auto & s = patches.shape;
    chain.run(patches.floats().data(), {s.at(3), s.at(2), s.at(1), s.at(0)},
              static_cast<size_t>(job.integer("window", 0)), {Progress(), half.c_str(), 1},
              [&](const std::vector<float> & values, Shape shape) {
                  all.insert(all.end(), values.begin(), values.end());
                  ne = {shape[0], shape[1], shape[2], ne[3] + shape[3]};
              });
    job.save("out", {ne[3], ne[2], ne[1], ne[0]}, all.data());
}

// MODEL is a folder with a checkpoint and a text encoder. ids [tokens] -> states
// [layers + 1, tokens, hidden].
void gemma(Job & job, const Index & index, const GemmaConfig & config) {
    const std::vector<int32_t> ids = job.array("ids").as<int32_t>("<i4");
    Gemma gemma(job.device, index, config, Progress());
    const std::vector<float> states = gemma.encode(ids, Progress());
    job.save("states", {config.layers + 1, static_cast<int64_t>(ids.size()), config.hidden},
             states.data());
}

void gemma(Job & job) {
    if (!job.files.empty()) { // a text encoder alone, in GGUF's own names
        gemma(job, job.index, gemma_config(job.files.front()));
        return;
    }
    const ModelSet model({job.model});
    gemma(job, model.index(), model.gemma());
}

// MODEL likewise. states as above -> context [rows, width], features [tokens, width].
void connector(Job & job) {
    const ModelSet model({job.model});
    const npy::Array states = job.array("states");
    Connector connector(job.device, model.index(), model.config(), model.gemma(), Progress());
    const std::vector<float> rows =
        connector.project(states.floats(), states.shape.at(1), Progress());
    job.save("context",
             {model.text_length(), static_cast<int64_t>(rows.size()) / model.text_length()},
             rows.data());
}

// MODEL is not read. file, one of the three kinds; strings, a JSON list; length -> ids, one after
// the other, and ends: string i's end before ends[i].
void tokenizer(Job & job) {
    const std::string path = job.text("file", ""), strings = job.text("strings", "");
    const auto all = [](const std::string & name) {
        const Mapping mapping(name);
        return std::string(reinterpret_cast<const char *>(mapping.data()), mapping.size());
    };
    const std::string kind = std::filesystem::path(path).extension().string();
    const Tokenizer tokenizer =
        kind == ".gguf"   ? Tokenizer::from_gguf(read_gguf(path).metadata, path)
        : kind == ".json" ? Tokenizer::from_json(Json::parse(all(path), path), path)
                          : Tokenizer::from_sentencepiece(all(path), path);
    const Json list = Json::parse(all(strings), strings);
    std::vector<int32_t> ids, ends;
    for (const Json & each : list.array(strings)) {
        const std::vector<int32_t> one =
            tokenizer.encode(each.string(strings), job.integer("length", 1024));
        ids.insert(ids.end(), one.begin(), one.end());
        ends.push_back(static_cast<int32_t>(ids.size()));
    }
    const auto save = [&](const char * name, const std::vector<int32_t> & values) {
        job.save(name, {static_cast<int64_t>(values.size())}, values.data(), "<i4");
    };
    save("ids", ids);
    save("ends", ends);
}

using Component = void (*)(Job &);
const std::map<std::string, Component> components = {
    {"connector", connector},   {"dit", dit},
    {"gemma", gemma},           {"image", image},
    {"tokenizer", tokenizer},   {"vae-chain", vae_chain},
    {"vae-decode", vae_decode}, {"vae-encode", vae_encode},
};

} // namespace

int main(int argc, char ** argv) {
    const auto component = argc < 4 ? components.end() : components.find(argv[1]);
    if (component == components.end()) {
        std::fprintf(stderr, "usage: ltx2_tap COMPONENT MODEL[,MODEL...] OUT [name=value ...]\n");
        return 2;
    }
    try {
        Job job(argc, argv);
        component->second(job);
        return 0;
    } catch (const Error & e) {
        std::fprintf(stderr, "%s\n", e.what());
        return 1;
    }
}
