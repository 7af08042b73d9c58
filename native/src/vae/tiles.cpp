#include "vae/tiles.h"

#include "base/round.h"

#include <algorithm>

namespace ltx2 {

std::vector<Span> spans(int64_t cells, int64_t size, int64_t overlap, int64_t least) {
    if (cells <= size)
        return {{0, cells, 0, 0}};
    const int64_t own = cells - overlap, most = size - overlap;
    int64_t count = divide_up(own, most);
    while (count > 1 && own / count + overlap < least)
        --count;
    std::vector<Span> all;
    for (int64_t i = 0; i < count; ++i)
        all.push_back({own * i / count, own * (i + 1) / count + overlap, i ? overlap : 0,
                       i + 1 < count ? overlap : 0});
    return all;
}

std::vector<float> shares(const Span & span, int64_t scale, int64_t lost) {
    const int64_t count = span.size() * scale - lost;
    const int64_t before = span.before * scale, after = span.after * scale;
    std::vector<float> all(static_cast<size_t>(count), 1.0f);
    for (int64_t i = 0; i < before; ++i)
        all[static_cast<size_t>(i)] = static_cast<float>(i + 1) / static_cast<float>(before + 1);
    for (int64_t i = 0; i < after; ++i)
        all[static_cast<size_t>(count - after + i)] *=
            static_cast<float>(after - i) / static_cast<float>(after + 1);
    return all;
}

} // namespace ltx2
