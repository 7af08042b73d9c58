#include "suspects.h"

#include "base/finite.h"
#include "base/utf8.h"
#include "graph/weights.h"

#include <algorithm>
#include <cstring>

namespace ltx2 {

static bool is_finite(const Source & source, const Progress & progress) {
    const TensorInfo & info = *source.info;
    if (!source.coding && !holds_weights(info.type))
        return true;
    const int64_t all = source.elements(), piece = 1 << 16; // whole blocks of every type
    std::vector<float> values(static_cast<size_t>(std::min(all, piece)));
    bool finite = true;
    for (int64_t first = 0; finite && first < all; first += piece) {
        const int64_t count = std::min(piece, all - first);
        read_values(source, first, count, values.data());
        finite = all_finite(values.data(), static_cast<size_t>(count));
        if (progress.stop_wanted())
            progress.fail_stopped();
    }
    release_values(source, 0, all);
    return finite;
}

void fail_not_finite(const std::string & where, const std::vector<Suspect> & suspects,
                     const Progress & progress) {
    std::string files;
    const auto check = [&](const Source & source) {
        if (!is_finite(source, progress))
            fail(LTX2_STATUS_MODEL,
                 "%s: tensor %s holds a value that is not finite, which %s showed; get the file "
                 "again, or convert it again from its source",
                 source.file->path.c_str(), shown(source.info->name).c_str(), where.c_str());
    };
    for (const Suspect & suspect : suspects) {
        const std::string & path = suspect.part.file->path;
        if (files.find(path) == std::string::npos)
            files += (files.empty() ? "" : ", ") + path;
        for (const auto & [name, source] : suspect.part.tensors)
            if (name.compare(0, std::strlen(suspect.prefix), suspect.prefix) == 0)
                check(source);
        for (const auto & [module, added] : suspect.part.adapters)
            for (const LowRank & low : added)
                check(low.down), check(low.up);
    }
    fail(LTX2_STATUS_MODEL,
         "%s: values are not finite, though all weights of %s are: they grew too large; get the "
         "file again, use weights of another type, or set LTX2_EXACT=1",
         where.c_str(), files.c_str());
}

} // namespace ltx2
