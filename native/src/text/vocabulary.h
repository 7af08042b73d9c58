// The pieces of a tokenizer, found by their text, in little more memory than their texts take: a
// file may list millions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ltx2 {

class Vocabulary {
public:
    void reserve(size_t pieces, size_t bytes); // of all their texts
    // False, and nothing is done, where a piece of this text is there.
    bool add(std::string_view text, int32_t id);
    void add_unfound(int32_t id); // takes a place, and no text finds it

    int32_t find(std::string_view text) const; // the id, or -1
    size_t size() const { return pieces_.size(); }
    std::string_view text(size_t i) const; // of the i-th that was added
    int32_t id(size_t i) const { return pieces_[i].id; }

private:
    struct Piece {
        uint32_t end; // of its text, in texts_; the one before ends where it begins
        int32_t id;
    };
    size_t place(std::string_view text) const; // its slot, or the free one where it would be
    void make_room(size_t pieces);

    std::string texts_;
    std::vector<Piece> pieces_;
    std::vector<uint32_t> slots_; // 1 + an index into pieces_; 0: free
};

} // namespace ltx2
