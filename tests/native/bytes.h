// Hand-made model files, valid or wrong in one place.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

struct Bytes {
    std::string data;

    template <class T>
    Bytes & put(T value) {
        data.append(reinterpret_cast<const char *>(&value), sizeof value);
        return *this;
    }
    Bytes & u32(uint32_t value) { return put(value); }
    Bytes & u64(uint64_t value) { return put(value); }
    Bytes & raw(const std::string & text) {
        data += text;
        return *this;
    }
    Bytes & text(const std::string & text) { return u64(text.size()).raw(text); }
    Bytes & key(const std::string & name, uint32_t type) { return text(name).u32(type); }
    Bytes & pad(size_t alignment) {
        while (data.size() % alignment != 0)
            data.push_back('\0');
        return *this;
    }
};

enum GgufType : uint32_t {
    gguf_u8,
    gguf_i8,
    gguf_u16,
    gguf_i16,
    gguf_u32,
    gguf_i32,
    gguf_f32,
    gguf_bool,
    gguf_string,
    gguf_array,
    gguf_u64,
    gguf_i64,
    gguf_f64
};

// A GGUF of one's own metadata and tensor entries. The defaults make a valid file.
struct Gguf {
    uint32_t version = 3;
    Bytes entries, tensors, content;
    uint64_t entry_count = 0, tensor_count = 0;
    size_t alignment = 32;

    Bytes & entry(const std::string & key, uint32_t type) {
        ++entry_count;
        return entries.key(key, type);
    }
    Gguf & tensor(const std::string & name, const std::vector<uint64_t> & ne, uint32_t type,
                  uint64_t offset) {
        ++tensor_count;
        tensors.text(name).u32(static_cast<uint32_t>(ne.size()));
        for (const uint64_t n : ne)
            tensors.u64(n);
        tensors.u32(type).u64(offset);
        return *this;
    }
    Gguf & bytes(size_t count) {
        content.data.resize(content.data.size() + count, '\x01');
        return *this;
    }
    std::string build() const {
        Bytes out;
        out.raw("GGUF").u32(version).u64(tensor_count).u64(entry_count);
        out.raw(entries.data).raw(tensors.data);
        if (!content.data.empty())
            out.pad(alignment).raw(content.data);
        return out.data;
    }
};

inline std::string safetensors(const std::string & header, size_t data_size) {
    return Bytes().text(header).raw(std::string(data_size, '\x02')).data;
}
