// A bounded reader of protobuf's wire format: field by field, nothing copied.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ltx2 {

class Wire {
public:
    // `bytes` must outlive the reader. Every throw is MODEL and begins with `what`.
    Wire(std::string_view bytes, std::string what) : rest_(bytes), what_(std::move(what)) {}

    bool next(); // to the next field; false at the end
    uint64_t field() const { return field_; }

    // The value of this field; throws where it is of another kind.
    uint64_t integer() const;
    float number() const;
    std::string_view text() const;

private:
    uint64_t varint();
    std::string_view take(uint64_t size);
    void require(int kind) const;

    std::string_view rest_, text_;
    std::string what_;
    uint64_t field_ = 0, integer_ = 0;
    int kind_ = 0; // 0 varint, 1 eight bytes, 2 counted bytes, 5 four bytes
};

} // namespace ltx2
