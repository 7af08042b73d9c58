#include "text/bpe.h"

#include "base/error.h"
#include "base/utf8.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <queue>
#include <string>
#include <tuple>

namespace ltx2 {

namespace {

// The text under way, a list of pieces in an array: a joined piece takes its left part's place.
struct Symbol {
    int32_t id;
    int32_t previous, next; // -1 at the ends
    bool alive;
};

// Compared in this order, the lowest first.
struct Candidate {
    int32_t rank;
    int32_t left, right; // minus the characters of the two, where scores decide
    int32_t id;          // of the joined piece
    int32_t position;
    auto key() const { return std::tie(rank, left, right, id, position); }
    bool operator>(const Candidate & other) const { return key() > other.key(); }
};

using Symbols = std::vector<Symbol>;

bool before(const Bpe::Merge & a, const Bpe::Merge & b) {
    return std::tie(a.left, a.right) < std::tie(b.left, b.right);
}

void add(Symbols & symbols, int32_t id) {
    const int32_t position = static_cast<int32_t>(symbols.size());
    if (position > 0)
        symbols.back().next = position;
    symbols.push_back({id, position - 1, -1, true});
}

// One symbol per character, or one per byte of a character that is not a piece.
Symbols split(const Bpe & bpe, std::string_view text) {
    Symbols symbols;
    symbols.reserve(text.size());
    // The unknown token waits for a known character and so comes after the bytes of fallback
    // characters in between, as in Hugging Face's; with all 256 bytes it never occurs.
    bool waiting = false;
    while (!text.empty()) {
        const std::string_view character = text.substr(0, utf8_length(text));
        text.remove_prefix(character.size());
        const int32_t id = bpe.find(character);
        if (id >= 0) {
            if (waiting)
                add(symbols, bpe.unknown);
            waiting = false;
            add(symbols, id);
            continue;
        }
        const auto piece = [&](char c) { return bpe.bytes[static_cast<uint8_t>(c)]; };
        if (std::all_of(character.begin(), character.end(),
                        [&](char c) { return piece(c) >= 0; })) {
            for (char c : character)
                add(symbols, piece(c));
            continue;
        }
        if (waiting && !bpe.fuse_unknown)
            add(symbols, bpe.unknown);
        waiting = bpe.unknown >= 0;
    }
    if (waiting)
        add(symbols, bpe.unknown);
    return symbols;
}

int32_t characters(std::string_view text) {
    return static_cast<int32_t>(
        std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

// The best score first: integers that are ordered as the numbers are, the other way round.
int32_t rank_of(float score) {
    int32_t bits;
    score += 0.0f; // there is but one zero
    std::memcpy(&bits, &score, sizeof bits);
    return bits < 0 ? bits & INT32_MAX : ~bits;
}

// The pieces of one text as they are joined.
class Joining {
public:
    Joining(const Bpe & bpe, Symbols & symbols) : bpe_(bpe), symbols_(symbols) {}

    void run() {
        for (size_t i = 0; i < symbols_.size(); ++i)
            propose(static_cast<int32_t>(i));
        while (!queue_.empty()) {
            const Candidate best = queue_.top();
            queue_.pop();
            Symbol & left = symbols_[best.position];
            // The pair may have changed since. It is still good when it joins to the same piece.
            Candidate now;
            if (!left.alive || left.next < 0 || !joins(best.position, now) || now.id != best.id)
                continue;
            Symbol & right = symbols_[left.next];
            left.id = best.id;
            left.next = right.next;
            right.alive = false;
            if (left.next >= 0)
                symbols_[left.next].previous = best.position;
            propose(left.previous);
            propose(best.position);
        }
    }

private:
    void propose(int32_t left) {
        Candidate found;
        if (left >= 0 && symbols_[left].next >= 0 && joins(left, found))
            queue_.push(found);
    }

    // Whether the symbol at `position` and its next one join.
    bool joins(int32_t position, Candidate & out) {
        const int32_t left = symbols_[position].id, right = symbols_[symbols_[position].next].id;
        if (bpe_.scores.empty()) {
            const Bpe::Merge wanted = {left, right, 0, 0};
            const auto found =
                std::lower_bound(bpe_.merges.begin(), bpe_.merges.end(), wanted, before);
            if (found == bpe_.merges.end() || before(wanted, *found))
                return false;
            out = {found->rank, 0, 0, found->id, position};
            return true;
        }
        const std::string_view first = bpe_.vocabulary.text(static_cast<size_t>(left)),
                               second = bpe_.vocabulary.text(static_cast<size_t>(right));
        text_.assign(first);
        text_ += second;
        const int32_t id = bpe_.find(text_);
        if (id >= 0)
            out = {rank_of(bpe_.scores[static_cast<size_t>(id)]), -characters(first),
                   -characters(second), id, position};
        return id >= 0;
    }

    const Bpe & bpe_;
    Symbols & symbols_;
    std::priority_queue<Candidate, std::vector<Candidate>, std::greater<Candidate>> queue_;
    std::string text_;
};

} // namespace

void Bpe::set_merges(std::vector<Merge> list) {
    merges = std::move(list);
    std::sort(merges.begin(), merges.end(), [](const Merge & a, const Merge & b) {
        return std::tie(a.left, a.right, b.rank) < std::tie(b.left, b.right, a.rank);
    });
    const auto same = [](const Merge & a, const Merge & b) {
        return a.left == b.left && a.right == b.right;
    };
    merges.erase(std::unique(merges.begin(), merges.end(), same), merges.end());
}

void Bpe::use_byte_fallback() {
    for (int i = 0; i < 256; ++i) {
        bytes[i] = find(words("<0x%02X>", i));
    }
}

void Bpe::encode(std::string_view text, std::vector<int32_t> & out) const {
    if (ignore_merges) {
        const int32_t whole = find(text);
        if (whole >= 0) {
            out.push_back(whole);
            return;
        }
    }
    Symbols symbols = split(*this, text);
    Joining(*this, symbols).run();
    for (const Symbol & symbol : symbols)
        if (symbol.alive)
            out.push_back(symbol.id);
}

} // namespace ltx2
