// Runs one component of the model on given arrays, for comparison with the reference:
//     ltx2_tap COMPONENT MODEL[,MODEL...] OUT [name=value ...]
// Values are .npy files, numbers or words, as the component takes them; `device` and `threads` are
// taken by all. What the component gives, and every tapped value, is written as OUT/<name>.npy.
#include "model_file.h"
#include "npy.h"
#include "weights.h"

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>

using namespace ltx2;

namespace {

struct Job {
    std::map<std::string, std::string> options;
    std::string out;
    std::deque<ModelFile> files; // tensors are pointed at: they must not move
    Index index;
    Json config;
    Device device;

    Job(int argc, char ** argv)
        : options(parse(argc, argv)), out(argv[3]),
          device(text("device", "CPU"), integer("threads", 1)) {
        std::istringstream paths(argv[2]);
        for (std::string path; std::getline(paths, path, ',');)
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
            Source & source = index[info.name];
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
    void save(const std::string & name, const std::vector<int64_t> & shape,
              const float * data) const {
        size_t count = 1;
        for (int64_t side : shape)
            count *= static_cast<size_t>(side);
        npy::write(out + "/" + name + ".npy", npy::make("<f4", shape, data, count));
    }
};

using Component = void (*)(Job &);
const std::map<std::string, Component> components = {
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
