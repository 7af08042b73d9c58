#include "text/writing.h"

#include "base/utf8.h"
#include "sampling/noise.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace ltx2 {

// A stream of noise that no stage of a video has.
static constexpr uint32_t text_noise = 0xFF000000;

int32_t choose_token(const std::vector<float> & logits, const Writing & how, uint64_t index) {
    std::vector<int32_t> order(logits.size());
    std::iota(order.begin(), order.end(), 0);
    const size_t count =
        std::min(order.size(), how.temperature > 0 ? static_cast<size_t>(how.top_k) : size_t{1});
    const auto logit = [&](int32_t token) { return logits[static_cast<size_t>(token)]; };
    std::partial_sort(
        order.begin(), order.begin() + static_cast<ptrdiff_t>(count), order.end(),
        [&](int32_t a, int32_t b) { return logit(a) != logit(b) ? logit(a) > logit(b) : a < b; });
    std::vector<double> sums; // of the shares up to each
    for (size_t i = 0; i < count && count > 1; ++i)
        sums.push_back((i ? sums.back() : 0) +
                       std::exp((logit(order[i]) - logit(order[0])) / double{how.temperature}));
    if (sums.empty())
        return order[0];
    const double drawn = even_noise(how.seed, text_noise, index) * sums.back();
    const auto found = std::upper_bound(sums.begin(), sums.end() - 1, drawn);
    return order[static_cast<size_t>(found - sums.begin())];
}

// Takes the whole characters that `bytes` begins with; bytes that become none are dropped, at the
// end also those that still could.
static std::string characters(std::string & bytes, bool at_end) {
    std::string out;
    size_t at = 0;
    while (at < bytes.size()) {
        const std::string_view left = std::string_view(bytes).substr(at);
        const size_t length = utf8_length(left);
        if (!length && left.size() < 4 && !at_end)
            break;
        out += left.substr(0, length);
        at += std::max<size_t>(length, 1);
    }
    bytes.erase(0, at);
    return out;
}

std::string write(const std::vector<int32_t> & prompt, const Writing & how,
                  const Tokenizer & tokenizer, const PredictFn & predict,
                  const std::function<void(const std::string & piece)> & tell) {
    std::string text, bytes;
    const auto add = [&](bool at_end) {
        const std::string piece = characters(bytes, at_end);
        text += piece;
        if (!piece.empty())
            tell(piece);
    };
    std::vector<int32_t> next = prompt;
    for (int i = 0; i < how.tokens; ++i) {
        std::vector<float> logits = predict(next);
        logits.resize(std::min(logits.size(), tokenizer.size())); // the embedding has spare rows
        next = {choose_token(logits, how, static_cast<uint64_t>(i))};
        if (tokenizer.ends_turn(next[0]))
            break;
        bytes += tokenizer.text(next[0]);
        add(false);
    }
    add(true);
    return text;
}

} // namespace ltx2
