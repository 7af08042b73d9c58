// The packed form of JSON: one run of bytes, which the readers of files write and Json reads in
// place. A value is its tag, and by that
//
//   a number or a boolean    its bytes, as this machine has them
//   a string                 its length, its text
//   an array                 the size of what follows in four bytes, the values
//   an object                the same; of each member the key's length, the key, the value
//   an array of numbers      the same; the tag of them all, their bytes
//
// A length has seven bits in each byte, the lowest first; the highest bit says that more follow.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

namespace ltx2 {

class Json;

enum class Tag : uint8_t {
    null,
    boolean,
    i8,
    u8,
    i16,
    u16,
    i32,
    u32,
    i64,
    u64,
    f32,
    f64, // the last of those of a fixed size
    string,
    array,
    object,
    numbers
};
constexpr size_t packed_size[] = {0, 1, 1, 1, 2, 2, 4, 4, 8, 8, 4, 8}; // by tag, up to f64

class Packer {
public:
    std::string bytes;

    void tag(Tag tag) { bytes += static_cast<char>(tag); }
    template <class T>
    void scalar(Tag kind, T value) {
        tag(kind);
        bytes.append(reinterpret_cast<const char *>(&value), sizeof value);
    }
    void integer(int64_t value); // in as few bytes as hold it
    void text(std::string_view value) {
        length(value.size());
        bytes += value;
    }
    void string(std::string_view value) {
        tag(Tag::string);
        text(value);
    }
    void value(const Json & value);

    // What is packed between the two is inside of the array or object.
    size_t open(Tag kind) {
        tag(kind);
        bytes.append(sizeof(uint32_t), '\0');
        return bytes.size();
    }
    void close(size_t opened) {
        const auto size = static_cast<uint32_t>(bytes.size() - opened);
        std::memcpy(&bytes[opened - sizeof size], &size, sizeof size);
    }

private:
    void length(size_t length) {
        for (; length >= 0x80; length >>= 7)
            bytes += static_cast<char>(length | 0x80);
        bytes += static_cast<char>(length);
    }
};

// What a packed length, or size, at `at` says; `at` moves past it.
inline size_t packed_length(const char *& at) {
    size_t length = 0;
    for (int shift = 0;; shift += 7) {
        const auto byte = static_cast<uint8_t>(*at++);
        length |= static_cast<size_t>(byte & 0x7F) << shift;
        if (byte < 0x80)
            return length;
    }
}

inline std::string_view packed_text(const char *& at) {
    const size_t length = packed_length(at);
    at += length;
    return {at - length, length};
}

inline std::string_view packed_content(const char *& at) {
    uint32_t size;
    std::memcpy(&size, at, sizeof size);
    at += sizeof size + size;
    return {at - size, size};
}

// Past the value that begins at `at`.
inline const char * packed_end(const char * at) {
    const auto tag = static_cast<Tag>(*at++);
    if (tag <= Tag::f64)
        return at + packed_size[static_cast<size_t>(tag)];
    if (tag == Tag::string)
        packed_text(at);
    else
        packed_content(at);
    return at;
}

// A key that occurs twice in an object's content, as a message shows it; empty where none does.
std::string repeated_key(std::string_view content);

// In a string of JSON text: after a backslash, and what it stands for.
constexpr std::pair<char, char> escapes[] = {{'"', '"'},  {'\\', '\\'}, {'/', '/'},  {'b', '\b'},
                                             {'f', '\f'}, {'n', '\n'},  {'r', '\r'}, {'t', '\t'}};

} // namespace ltx2
