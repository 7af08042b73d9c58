#include "wire.h"

#include "error.h"

#include <cstring>

namespace ltx2 {

uint64_t Wire::varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        const uint8_t byte = static_cast<uint8_t>(take(1)[0]);
        value |= static_cast<uint64_t>(byte & 0x7F) << shift;
        if (byte < 0x80)
            return value;
    }
    fail(LTX2_STATUS_MODEL, "%s: a number of over ten bytes", what_.c_str());
}

std::string_view Wire::take(uint64_t size) {
    if (size > rest_.size())
        fail(LTX2_STATUS_MODEL, "%s: field %llu needs %llu bytes, and %zu are left", what_.c_str(),
             static_cast<unsigned long long>(field_), static_cast<unsigned long long>(size),
             rest_.size());
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
}

bool Wire::next() {
    if (rest_.empty())
        return false;
    const uint64_t key = varint();
    field_ = key >> 3;
    kind_ = static_cast<int>(key & 7);
    switch (kind_) {
    case 0: integer_ = varint(); break;
    case 1: text_ = take(8); break;
    case 2: text_ = take(varint()); break;
    case 5: text_ = take(4); break;
    default: // groups, and what protobuf does not have
        fail(LTX2_STATUS_MODEL, "%s: field %llu is of kind %d; no protobuf", what_.c_str(),
             static_cast<unsigned long long>(field_), kind_);
    }
    return true;
}

void Wire::require(int kind) const {
    if (kind_ != kind)
        fail(LTX2_STATUS_MODEL, "%s: field %llu is of kind %d instead of %d", what_.c_str(),
             static_cast<unsigned long long>(field_), kind_, kind);
}

uint64_t Wire::integer() const {
    require(0);
    return integer_;
}

float Wire::number() const {
    require(5);
    uint32_t bits = 0; // little-endian in the file, whatever this machine is
    for (int i = 3; i >= 0; --i)
        bits = bits << 8 | static_cast<uint8_t>(text_[i]);
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

std::string_view Wire::text() const {
    require(2);
    return text_;
}

} // namespace ltx2
