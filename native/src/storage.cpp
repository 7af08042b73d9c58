#include "storage.h"

#include "base/log.h"
#include "base/named.h"
#include "base/round.h"
#include "base/utf8.h"
#include "graph/quantise.h"
#include "model/recognise.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <tuple>

namespace ltx2 {

const std::vector<StorageType> & storage_types() {
    // BF16 is the less precise of the two halves, and takes what F16 cannot: any value of F32.
    static const std::vector<StorageType> types = {
        {"f32", GGML_TYPE_F32, 0, 0, "f32", ""},
        {"bf16", GGML_TYPE_BF16, 32, 2.76e-6, "bf16", ""},
        {"f16", GGML_TYPE_F16, 1, 4.31e-8, "f16", ""},
        {"q8_0", GGML_TYPE_Q8_0, 7, 2.86e-5, "f16", "f16"},
        {"i8", GGML_TYPE_I8, 1024, 5.5e-5, "f16", "q8_0"},
        {"q6_k", GGML_TYPE_Q6_K, 18, 3.14e-4, "q8_0", "q8_0"},
        {"q5_1", GGML_TYPE_Q5_1, 9, 1.43e-3, "q8_0", "f16"},
        {"q5_k", GGML_TYPE_Q5_K, 16, 1.30e-3, "q6_k", "q5_1"},
        {"q4_0", GGML_TYPE_Q4_0, 2, 7.35e-3, "q5_1", "f16"},
        {"q4_k", GGML_TYPE_Q4_K, 14, 5.07e-3, "q5_k", "q5_1"},
        {"q3_k", GGML_TYPE_Q3_K, 11, 2.27e-2, "q4_k", "q4_0"},
    };
    return types;
}

const StorageType & storage_type(const std::string & name) {
    return find_named("type", storage_types(), name);
}

// What is small, and every token passes through, costs more when it is rounded than it saves. The
// first row that fits counts; a matrix becomes no smaller than that type.
struct Rule {
    const char *names, *type;
};
static const Rule rules[] = {
    {"*scale_shift_table*", "f32"},
    {"*learnable_registers", "f32"},
    {"*keyframes_abs_pos_embedding", "f32"},
    {"*per_channel_statistics*", "f32"},
    {"vae.*", "f16"},
    {"audio_vae.*", "f16"},
    {"vocoder.*", "f16"},
    {"duration_head.*", "f16"},
    {"*adaln*", "f16"},
    {"*to_gate_logits.*", "f16"},
    {"*patchify_proj.*", "f16"},
    {"*proj_out.*", "f16"},
    // only the prompt's rows are read: its size costs the disk, no memory
    {"token_embd.weight", "q8_0"},
};
// In the first and the last blocks of the DiT, matrices are stored one step higher.
static const char * const blocks_prefix = "model.diffusion_model.transformer_blocks.";
static constexpr int64_t edge_blocks = 2;

int64_t block_of(const std::string & name) {
    const std::string prefix = blocks_prefix;
    if (name.compare(0, prefix.size(), prefix) != 0)
        return -1;
    const long block = std::strtol(name.c_str() + prefix.size(), nullptr, 10);
    return std::min(block, 1L << 20); // a file may state any number
}

static bool is_matrix(const StoredTensor & tensor) { return tensor.shape.size() >= 2; }

static const StorageType * more_precise(const StorageType * a, const StorageType * b) {
    return std::min(a, b); // as they stand in the table
}

Storage::Storage(std::vector<StoredTensor> tensors, const StorageType & type,
                 const std::vector<std::string> & patterns)
    : tensors_(std::move(tensors)), types_(groups().size(), &type) {
    for (const std::string & text : patterns) {
        const size_t at = text.rfind('=');
        if (at == std::string::npos || at == 0)
            fail(LTX2_STATUS_INVALID_ARGUMENT, "tensor_type: %s is not PATTERN=TYPE",
                 shown(text).c_str());
        patterns_.push_back({text.substr(0, at), &storage_type(text.substr(at + 1))});
    }
    for (const StoredTensor & tensor : tensors_)
        blocks_ = std::max(blocks_, block_of(tensor.name) + 1);
}

const Storage::Pattern * Storage::pattern_of(const StoredTensor & tensor) const {
    for (const Pattern & pattern : patterns_)
        if (is_matrix(tensor) && matches(pattern.names, tensor.name))
            return &pattern;
    return nullptr;
}

// Where its group is stored as `type`.
const StorageType * Storage::wanted(const StoredTensor & tensor, const StorageType * type) const {
    static const StorageType * const f32 = &storage_type("f32");
    static const StorageType * const f16 = &storage_type("f16");
    if (!is_matrix(tensor))
        return f32;
    if (const Pattern * pattern = pattern_of(tensor))
        return pattern->type;
    for (const Rule & rule : rules)
        if (matches(rule.names, tensor.name))
            return more_precise(type, &storage_type(rule.type));
    if (tensor.shape.size() > 2) // a convolution
        return more_precise(type, f16);
    const int64_t at = block_of(tensor.name);
    const bool edge = at >= 0 && (at < edge_blocks || at >= blocks_ - edge_blocks);
    return edge ? &storage_type(type->higher) : type;
}

static size_t group_of(const StoredTensor & tensor) {
    size_t i = 0;
    while (!matches(groups()[i].names, tensor.name))
        ++i;
    return i;
}

// In whole blocks; codes are of modules' weights alone, whose rows are made one at a time.
static constexpr int64_t most_codes = 1 << 18;
static bool fits(const StorageType & type, const StoredTensor & tensor) {
    const std::string &name = tensor.name, end = ".weight";
    const bool is_weight =
        name.size() > end.size() && !name.compare(name.size() - end.size(), end.size(), end);
    if (!is_coded(type))
        return tensor.shape.back() % ggml_blck_size(type.type) == 0;
    return is_weight && tensor.shape.size() == 2 && tensor.shape[1] % code_group == 0 &&
           tensor.shape[1] <= most_codes;
}
static const StorageType * that_fits(const StorageType * type, const StoredTensor & tensor) {
    while (!fits(*type, tensor))
        type = &storage_type(type->fallback);
    return type;
}

std::vector<const StorageType *> Storage::choose() const {
    std::vector<const StorageType *> chosen;
    std::map<std::pair<const StorageType *, const StorageType *>, std::vector<const char *>> other;
    for (const StoredTensor & tensor : tensors_) {
        const StorageType * want = wanted(tensor, types_[group_of(tensor)]);
        chosen.push_back(that_fits(want, tensor));
        if (chosen.back() != want)
            other[{want, chosen.back()}].push_back(tensor.name.c_str());
    }
    for (const auto & [types, names] : other)
        log(Level::warning, "%s: stored as %s instead, %zu matrices %s, as %s", types.first->name,
            types.second->name, names.size(),
            is_coded(*types.first) ? "that are no weights of whole groups"
                                   : "whose rows are not whole blocks",
            shown(names[0]).c_str());
    for (const Pattern & pattern : patterns_)
        if (std::none_of(tensors_.begin(), tensors_.end(), [&](const StoredTensor & tensor) {
                return pattern_of(tensor) == &pattern;
            }))
            fail(LTX2_STATUS_INVALID_ARGUMENT,
                 "tensor_type: %s is of no matrix, or an earlier pattern has them all; `ltx2 info` "
                 "lists names",
                 shown(pattern.names).c_str());
    return chosen;
}

// ---- a size

static int64_t count_values(const StoredTensor & tensor) {
    return std::accumulate(tensor.shape.begin(), tensor.shape.end(), int64_t{1},
                           [](int64_t a, int64_t b) { return a * b; });
}

uint64_t stored_size(const StoredTensor & tensor, const StorageType & type) {
    return round_up(uint64_t{ggml_row_size(type.type, count_values(tensor))}, tensor_alignment);
}

// By group and type.
Storage::Prices Storage::prices() const {
    const std::vector<StorageType> & types = storage_types();
    Prices all(groups().size(), std::vector<Price>(types.size()));
    for (const StoredTensor & tensor : tensors_) {
        std::vector<Price> & group = all[group_of(tensor)];
        for (size_t t = 0; t < types.size(); ++t) {
            // Codes are never picked: where 8 bits have room, Q8_0 loses less.
            const StorageType * whole = &types[is_coded(types[t]) ? t - 1 : t];
            const StorageType * type = that_fits(wanted(tensor, whole), tensor);
            group[t].bytes += stored_size(tensor, *type);
            group[t].values += static_cast<double>(count_values(tensor));
            group[t].error += static_cast<double>(count_values(tensor)) * type->nmse;
        }
    }
    for (size_t g = 0; g < all.size(); ++g)
        for (Price & price : all[g])
            price.error *= groups()[g].sensitivity / std::max(1.0, price.values);
    return all;
}

// From the smallest types up, always the step that gains most for its bytes.
Fit Storage::fit(uint64_t bytes) {
    for (const Pattern & pattern : patterns_)
        if (is_coded(*pattern.type))
            fail(LTX2_STATUS_INVALID_ARGUMENT, "tensor_type: %s has no place in a target_size",
                 pattern.type->name);
    const Prices all = prices();
    std::vector<const Price *> picked;
    uint64_t size = 0;
    for (const std::vector<Price> & group : all) {
        picked.push_back(
            &*std::min_element(group.begin(), group.end(), [](const Price & a, const Price & b) {
                return std::tie(a.bytes, a.error) < std::tie(b.bytes, b.error);
            }));
        size += picked.back()->bytes;
    }
    if (size > bytes)
        fail(LTX2_STATUS_INVALID_ARGUMENT,
             "target_size: the tensors take %llu bytes at least, and %llu are left for them",
             static_cast<unsigned long long>(size), static_cast<unsigned long long>(bytes));
    for (double best = 1; best > 0;) {
        best = 0;
        const Price ** place = nullptr;
        const Price * better = nullptr;
        for (size_t g = 0; g < all.size(); ++g)
            for (const Price & price : all[g]) {
                const uint64_t more = price.bytes - std::min(price.bytes, picked[g]->bytes);
                const double gain = (picked[g]->error - price.error) / static_cast<double>(more);
                if (more && size + more <= bytes && gain > best) {
                    best = gain;
                    place = &picked[g];
                    better = &price;
                }
            }
        if (place) {
            size += better->bytes - (*place)->bytes;
            *place = better;
        }
    }
    Fit fit;
    double error = 0;
    for (size_t g = 0; g < all.size(); ++g) {
        types_[g] = &storage_types()[static_cast<size_t>(picked[g] - all[g].data())];
        fit.types.push_back(picked[g]->values > 0 ? types_[g] : nullptr);
        error += picked[g]->error;
    }
    fit.psnr = -10 * std::log10(std::max(error, 1e-12));
    return fit;
}

} // namespace ltx2
