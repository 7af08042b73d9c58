// The arguments of ltx2_tap, and where it writes what a component gives.
#pragma once

#include "graph/device.h"
#include "model/model.h"
#include "npy.h"

#include <cstdlib>
#include <map>
#include <sstream>

namespace ltx2 {

struct Job {
    std::map<std::string, std::string> options;
    std::string paths, out;
    Device device;

    Job(int argc, char ** argv)
        : options(parse(argc, argv)), paths(argv[2]), out(argv[3]),
          device(text("device", "CPU"), integer("threads", 1)) {
        if (!integer("taps", 1))
            return;
        device.tap = [this](const std::string & name, Shape ne, const float * data) {
            save(name, {ne[3], ne[2], ne[1], ne[0]}, data);
        };
    }
    Model model() const {
        std::vector<std::string> files;
        std::istringstream all(paths);
        for (std::string path; std::getline(all, path, ',');)
            files.push_back(path);
        return Model(files);
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
    std::vector<float> floats(const std::string & name) const { // none where it is not given
        return options.count(name) ? array(name).floats() : std::vector<float>();
    }
    template <class T>
    void save(const std::string & name, const std::vector<int64_t> & shape, const T * data,
              const char * type = "<f4") const {
        size_t bytes = sizeof(T);
        for (int64_t side : shape)
            bytes *= static_cast<size_t>(side);
        npy::write(out + "/" + name + ".npy", type, shape, data, bytes);
    }
    void save(const std::string & name, const std::vector<int32_t> & values) const {
        save(name, {static_cast<int64_t>(values.size())}, values.data(), "<i4");
    }
};

} // namespace ltx2
