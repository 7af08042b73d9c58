#include "text/vocabulary.h"

#include "base/error.h"

#include <algorithm>
#include <cstring>
#include <random>

namespace ltx2 {

// Another one in every process, so that no file can be made whose pieces all fall into one place.
static uint64_t secret() {
    static const uint64_t bits = [] {
        std::random_device device;
        return (uint64_t{device()} << 32 | device()) | 1;
    }();
    return bits;
}

static uint64_t hash(std::string_view text) {
    const uint64_t multiplier = secret();
    uint64_t out = text.size() * multiplier;
    for (size_t at = 0; at < text.size(); at += sizeof out) {
        uint64_t eight = 0;
        std::memcpy(&eight, text.data() + at, std::min(sizeof eight, text.size() - at));
        out = (out ^ eight) * multiplier;
        out ^= out >> 32;
    }
    return out * multiplier;
}

std::string_view Vocabulary::text(size_t i) const {
    const uint32_t begin = i ? pieces_[i - 1].end : 0;
    return std::string_view(texts_).substr(begin, pieces_[i].end - begin);
}

size_t Vocabulary::place(std::string_view wanted) const {
    // The hash's upper half, as a fraction of the table: its size need be no power of two.
    size_t slot = static_cast<size_t>((hash(wanted) >> 32) * slots_.size() >> 32);
    while (slots_[slot] && text(slots_[slot] - 1) != wanted)
        slot = slot + 1 == slots_.size() ? 0 : slot + 1;
    return slot;
}

void Vocabulary::reserve(size_t pieces, size_t bytes) {
    pieces_.reserve(pieces);
    texts_.reserve(bytes);
    make_room(pieces);
}

void Vocabulary::make_room(size_t pieces) {
    if (pieces * 3 / 2 < slots_.size())
        return;
    slots_.assign(pieces * 3 / 2 + 8, 0);
    for (size_t i = 0; i < pieces_.size(); ++i)
        if (!text(i).empty())
            slots_[place(text(i))] = static_cast<uint32_t>(i + 1);
}

bool Vocabulary::add(std::string_view text, int32_t id) {
    if (pieces_.size() * 3 / 2 + 3 >= slots_.size())
        make_room(pieces_.size() * 2 + 8);
    const size_t slot = place(text);
    if (slots_[slot])
        return false;
    if (texts_.size() + text.size() > UINT32_MAX)
        fail(LTX2_STATUS_MODEL, "tokenizer: its pieces have over 4 GiB of text");
    texts_ += text;
    pieces_.push_back({static_cast<uint32_t>(texts_.size()), id});
    slots_[slot] = static_cast<uint32_t>(pieces_.size());
    return true;
}

void Vocabulary::add_unfound(int32_t id) {
    pieces_.push_back({static_cast<uint32_t>(texts_.size()), id});
}

int32_t Vocabulary::find(std::string_view text) const {
    const uint32_t found = slots_.empty() ? 0 : slots_[place(text)];
    return found ? pieces_[found - 1].id : -1;
}

} // namespace ltx2
