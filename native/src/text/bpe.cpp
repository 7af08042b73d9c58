#include "text/bpe.h"

#include "base/error.h"
#include "base/utf8.h"

#include <algorithm>
#include <queue>
#include <tuple>

namespace ltx2 {

namespace {

// The text under way, a list of pieces in an array: a joined piece takes its left part's place.
struct Symbol {
    int32_t id;
    int32_t previous, next; // -1 at the ends
    bool alive;
};

struct Candidate {
    int32_t rank, position, id;
    bool operator>(const Candidate & other) const {
        return std::tie(rank, position) > std::tie(other.rank, other.position);
    }
};

using Symbols = std::vector<Symbol>;
using Queue = std::priority_queue<Candidate, std::vector<Candidate>, std::greater<Candidate>>;

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
        const std::string character(text.substr(0, utf8_length(text)));
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

void propose(const Bpe & bpe, const Symbols & symbols, int32_t left, Queue & queue) {
    if (left < 0 || symbols[left].next < 0)
        return;
    const auto found = bpe.merges.find(Bpe::pair(symbols[left].id, symbols[symbols[left].next].id));
    if (found != bpe.merges.end())
        queue.push({found->second.rank, left, found->second.id});
}

void merge(const Bpe & bpe, Symbols & symbols) {
    Queue queue;
    for (size_t i = 0; i < symbols.size(); ++i)
        propose(bpe, symbols, static_cast<int32_t>(i), queue);
    while (!queue.empty()) {
        const Candidate best = queue.top();
        queue.pop();
        Symbol & left = symbols[best.position];
        if (!left.alive || left.next < 0)
            continue;
        Symbol & right = symbols[left.next];
        // The pair may have changed since. It is still good when it joins to the same piece.
        const auto found = bpe.merges.find(Bpe::pair(left.id, right.id));
        if (found == bpe.merges.end() || found->second.id != best.id)
            continue;
        left.id = best.id;
        left.next = right.next;
        right.alive = false;
        if (left.next >= 0)
            symbols[left.next].previous = best.position;
        propose(bpe, symbols, left.previous, queue);
        propose(bpe, symbols, best.position, queue);
    }
}

size_t characters(std::string_view text) {
    return std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; });
}

} // namespace

int32_t Bpe::find(const std::string & piece) const {
    const auto found = vocabulary.find(piece);
    return found == vocabulary.end() ? -1 : found->second;
}

void Bpe::use_byte_fallback() {
    for (int i = 0; i < 256; ++i) {
        bytes[i] = find(words("<0x%02X>", i));
    }
}

void Bpe::rank_by_score(const std::vector<std::string> & pieces,
                        const std::vector<float> & scores) {
    struct Cut {
        float score;
        int32_t left_size, right_size; // in characters
        int32_t id, left, right;
    };
    std::vector<Cut> cuts;
    for (size_t id = 0; id < pieces.size(); ++id) {
        const std::string & piece = pieces[id];
        const int32_t size = static_cast<int32_t>(characters(piece));
        int32_t left_size = 0;
        for (size_t at = 0; at < piece.size(); ++left_size) {
            at += utf8_length(std::string_view(piece).substr(at));
            const int32_t left = at < piece.size() ? find(piece.substr(0, at)) : -1;
            const int32_t right = left >= 0 ? find(piece.substr(at)) : -1;
            if (right >= 0)
                cuts.push_back({scores[id], left_size + 1, size - left_size - 1,
                                static_cast<int32_t>(id), left, right});
        }
    }
    // The best score first; where equal, the longest left part, the longest right part, and then
    // the order of the ids.
    std::sort(cuts.begin(), cuts.end(), [](const Cut & a, const Cut & b) {
        return std::tie(b.score, b.left_size, b.right_size, a.id, a.left, a.right) <
               std::tie(a.score, a.left_size, a.right_size, b.id, b.left, b.right);
    });
    merges.reserve(cuts.size());
    int32_t rank = 0;
    for (const Cut & cut : cuts)
        merges[pair(cut.left, cut.right)] = {rank++, cut.id};
}

void Bpe::encode(std::string_view text, std::vector<int32_t> & out) const {
    if (ignore_merges) {
        const int32_t whole = find(std::string(text));
        if (whole >= 0) {
            out.push_back(whole);
            return;
        }
    }
    Symbols symbols = split(*this, text);
    merge(*this, symbols);
    for (const Symbol & symbol : symbols)
        if (symbol.alive)
            out.push_back(symbol.id);
}

} // namespace ltx2
