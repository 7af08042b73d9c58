// NumPy's .npy files: how the native programs of the tests take arrays in.
#pragma once

#include "base/error.h"

#include <cstdint>
#include <cstring>
#include <fstream>
#include <sstream>
#include <vector>

namespace npy {

struct Array {
    std::string type;           // "<f4", "<i4", "<i8" or "|u1"
    std::vector<int64_t> shape; // outermost first, C order
    std::vector<char> bytes;

    size_t count() const {
        size_t n = 1;
        for (int64_t side : shape)
            n *= static_cast<size_t>(side);
        return n;
    }
    template <class T>
    std::vector<T> as(const char * wanted) const {
        if (type != wanted || bytes.size() != count() * sizeof(T))
            ltx2::fail(LTX2_STATUS_INVALID_ARGUMENT, "npy: %s is not %s", type.c_str(), wanted);
        std::vector<T> values(count());
        std::memcpy(values.data(), bytes.data(), bytes.size());
        return values;
    }
    std::vector<float> floats() const { return as<float>("<f4"); }
};

inline Array read(const std::string & path) {
    std::ifstream in(path, std::ios::binary);
    const std::string all((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    if (all.size() < 10 || all.compare(0, 6, "\x93NUMPY") != 0 || all[6] != 1)
        ltx2::fail(LTX2_STATUS_INVALID_ARGUMENT, "%s: not a version 1 .npy", path.c_str());
    const size_t length = static_cast<uint8_t>(all[8]) + 256u * static_cast<uint8_t>(all[9]);
    const std::string header = all.substr(10, length);
    Array array;
    const size_t type = header.find("'descr': '") + 10;
    array.type = header.substr(type, header.find('\'', type) - type);
    if (header.find("'fortran_order': False") == std::string::npos)
        ltx2::fail(LTX2_STATUS_INVALID_ARGUMENT, "%s: not in C order", path.c_str());
    const size_t open = header.find('(');
    std::istringstream sides(header.substr(open + 1, header.find(')') - open - 1));
    for (std::string side; std::getline(sides, side, ',');)
        if (side.find_first_of("0123456789") != std::string::npos)
            array.shape.push_back(std::stoll(side));
    array.bytes.assign(all.begin() + static_cast<std::ptrdiff_t>(10 + length), all.end());
    return array;
}

// C order; `type` as above.
inline void write(const std::string & path, const std::string & type,
                  const std::vector<int64_t> & shape, const void * values, size_t bytes) {
    std::string header = "{'descr': '" + type + "', 'fortran_order': False, 'shape': (";
    for (int64_t side : shape)
        header += std::to_string(side) + ", ";
    header += "), }";
    header.append(63 - (10 + header.size()) % 64, ' ');
    header += '\n';
    std::ofstream out(path, std::ios::binary);
    out.write("\x93NUMPY\x01\x00", 8);
    out.put(static_cast<char>(header.size() & 255)).put(static_cast<char>(header.size() >> 8));
    out << header;
    out.write(static_cast<const char *>(values), static_cast<std::streamsize>(bytes));
    if (!out.flush())
        ltx2::fail(LTX2_STATUS_INVALID_ARGUMENT, "%s: cannot be written", path.c_str());
}

} // namespace npy
