#include "model/codings.h"

#include "base/round.h"
#include "base/utf8.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace ltx2 {

using View = std::string_view;
using Files = std::vector<const TensorFile *>;
using Type = Numbers::Type;

static constexpr size_t max_marker = 65536; // bytes
static constexpr int64_t max_group = 65536; // columns
// Where a module's weight is `<module>.weight`, its other tensors are `<module>.<one of these>`.
static const char * const companions[] = {
    "comfy_quant",  "weight_scale",     "weight_scale_2",  "scale_weight",     "input_scale",
    "weight_s_rel", "weight_s_channel", "weight_codebook", "weight_correction"};

namespace {

// The coding of one module's weight, from its marker and the tensors beside it.
class Module {
public:
    // `name` is empty for a tensor that is no weight of a module; `marker` is what the metadata of
    // the file says of it.
    Module(const TensorFile & file, View name, const TensorInfo & weight, Json marker)
        : file_(file), name_(name), weight_(weight), marker_(std::move(marker)) {}

    // Null where the weight is not coded.
    std::shared_ptr<const Coding> coding() {
        read_marker();
        const Row * row = find_row();
        if (!row)
            return nullptr;
        coding_.name = row->name;
        coding_.format = row->format;
        coding_.codes = weight_.data;
        (this->*row->fill)();
        for (const char * companion : companions)
            if (const TensorInfo * tensor = find(companion))
                coding_.beside.push_back(tensor);
        return std::make_shared<const Coding>(std::move(coding_));
    }

private:
    struct Row {
        const char * name;
        Format format;
        void (Module::*fill)();
    };
    static const Row rows[];

    std::string title() const { return "module " + shown(name_.empty() ? weight_.name : name_); }
    [[noreturn]] void refuse(const std::string & problem) const {
        fail(LTX2_STATUS_MODEL, "%s%s%s: %s", title().c_str(), coding_.name ? " in " : "",
             coding_.name ? coding_.name : "", problem.c_str());
    }
    bool is(View dtype) const { return same(weight_.dtype, dtype); }
    // GGUF's names of types are in small letters.
    static bool same(View a, View b) {
        const auto small = [](char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; };
        return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                          [&](char x, char y) { return small(x) == small(y); });
    }
    const TensorInfo * find(const char * companion) const {
        return name_.empty() ? nullptr : file_.find(std::string(name_) + "." + companion);
    }

    void read_marker();
    const Row * find_row() const;
    std::optional<Json> parameter(const char * key) const;
    int64_t group_of(const char * key, int64_t usual) const;
    enum class Need { always, optional };
    Numbers numbers(const char * companion, Type bytes, int64_t count, Need need);
    void set_scale(const char * companion, Need need);
    void set_matrix(View dtype, int64_t columns);
    void set_blocks(View dtype, int64_t columns, int64_t block);
    void set_rotation();

    void fill_fp8();
    void fill_int8();
    void fill_int4();
    void fill_w4a8();
    void fill_nvfp4();
    void fill_mxfp8();

    const TensorFile & file_;
    View name_;
    const TensorInfo & weight_;
    Json marker_;
    Coding coding_{};
};

const Module::Row Module::rows[] = {{"float8_e4m3fn", Format::e4m3, &Module::fill_fp8},
                                    {"float8_e5m2", Format::e5m2, &Module::fill_fp8},
                                    {"int8_tensorwise", Format::int8, &Module::fill_int8},
                                    {"convrot_w4a4", Format::int4, &Module::fill_int4},
                                    {"asym_w4a8_int8", Format::w4a8, &Module::fill_w4a8},
                                    {"nvfp4", Format::nvfp4, &Module::fill_nvfp4},
                                    {"mxfp8", Format::mxfp8, &Module::fill_mxfp8}};

// ---- what is stated

// A tensor of its own comes before the metadata.
void Module::read_marker() {
    const TensorInfo * tensor = find("comfy_quant");
    if (!tensor)
        return;
    if (tensor->size > max_marker)
        refuse(words("comfy_quant has %zu bytes; at most %zu can be", tensor->size, max_marker));
    View text(reinterpret_cast<const char *>(tensor->data), tensor->size);
    const size_t last = text.find_last_not_of(View("\0 \t\r\n", 5));
    text = text.substr(0, last == View::npos ? 0 : last + 1);
    marker_ = Json::parse(text, title() + ": comfy_quant");
}

// By the marker, else by the dtype, which codes of 4 bits would mislead.
const Module::Row * Module::find_row() const {
    View name = is("F8_E4M3") ? "float8_e4m3fn" : is("F8_E5M2") ? "float8_e5m2" : "";
    const bool object = marker_.kind() == Json::Kind::object;
    const Json stated = object ? parameter("format").value_or(Json()) : marker_;
    if (marker_.kind() != Json::Kind::null)
        name = stated.string(title() + ": format");
    for (const Row & row : rows)
        if (name == row.name)
            return &row;
    if (!name.empty())
        refuse("format " + shown(name) + " is unknown");
    return nullptr;
}

// Older writers nest them.
std::optional<Json> Module::parameter(const char * key) const {
    std::optional<Json> found = marker_.find(key);
    if (const std::optional<Json> nested = marker_.find("params"); nested && !found)
        found = nested->find(key);
    return found && found->kind() != Json::Kind::null ? found : std::nullopt;
}

int64_t Module::group_of(const char * key, int64_t usual) const {
    const std::optional<Json> found = parameter(key);
    const int64_t group = found ? found->integer(title() + ": " + key) : usual;
    if (group < 1 || group > max_group)
        refuse(words("%s is %lld", key, static_cast<long long>(group)));
    return group;
}

// ---- the tensors beside it

// Those of `companion`, of which there must be so many. `bytes`: what numbers of 8 bits are; f32
// where there can be none.
Numbers Module::numbers(const char * companion, Type bytes, int64_t count, Need need) {
    const TensorInfo * tensor = find(companion);
    if (!tensor && need == Need::always)
        refuse(words("%s is missing", companion));
    if (!tensor)
        return {};
    const View dtype = tensor->dtype;
    const bool is_byte = (bytes == Type::e4m3 && (dtype == "F8_E4M3" || dtype == "U8")) ||
                         (bytes == Type::e8m0 && (dtype == "F8_E8M0" || dtype == "U8"));
    if (!is_byte && !same(dtype, "F32") && !same(dtype, "F16") && !same(dtype, "BF16"))
        refuse(words("%s is %s", companion, tensor->dtype));
    if (tensor->elements() != count)
        refuse(words("%s holds %lld numbers, not %lld", companion,
                     static_cast<long long>(tensor->elements()), static_cast<long long>(count)));
    const Type type = is_byte              ? bytes
                      : same(dtype, "F32") ? Type::f32
                      : same(dtype, "F16") ? Type::f16
                                           : Type::bf16;
    return {type, tensor->data};
}

// One for all rows, or one for each.
void Module::set_scale(const char * companion, Need need) {
    const TensorInfo * tensor = find(companion);
    coding_.scale_of_row = tensor && tensor->elements() != 1 && !coding_.shape.empty();
    const int64_t count = coding_.scale_of_row ? coding_.shape[0] : 1;
    coding_.scale = numbers(companion, Type::f32, count, need);
    if (tensor && !coding_.scale_of_row && !std::isfinite(coding_.scale[0]))
        refuse(words("%s is not finite", companion));
}

// ---- formats

void Module::set_matrix(View dtype, int64_t columns) {
    if (!is(dtype))
        refuse(words("its weight is %s, not %s", weight_.dtype, std::string(dtype).c_str()));
    if (weight_.shape.size() != 2 || weight_.elements() < 1)
        refuse("its weight is no matrix");
    coding_.shape = {weight_.shape[0], columns};
    coding_.row_bytes = weight_.shape[1];
}

// Groups are powers of 4; of 256 in every file seen.
void Module::set_rotation() {
    const int64_t group = group_of("convrot_groupsize", 256);
    int64_t power = 4;
    while (power < group)
        power *= 4;
    if (power != group || coding_.shape[1] % group)
        refuse(words("convrot_groupsize is %lld, and a row has %lld values",
                     static_cast<long long>(group), static_cast<long long>(coding_.shape[1])));
    coding_.rotated_group = group;
}

void Module::fill_fp8() {
    const char * dtype = coding_.format == Format::e4m3 ? "F8_E4M3" : "F8_E5M2";
    if (!is(dtype))
        refuse(words("its weight is %s, not %s", weight_.dtype, dtype));
    coding_.shape = weight_.shape;
    coding_.row_bytes = coding_.columns();
    set_scale(find("weight_scale") ? "weight_scale" : "scale_weight", Need::optional);
}

void Module::fill_int8() {
    set_matrix("I8", weight_.shape.size() == 2 ? weight_.shape[1] : 0);
    set_scale("weight_scale", Need::always);
    const std::optional<Json> rotated = parameter("convrot");
    if (rotated && rotated->boolean(title() + ": convrot"))
        set_rotation();
}

void Module::fill_int4() {
    set_matrix("I8", weight_.shape.size() == 2 ? 2 * weight_.shape[1] : 0);
    set_scale("weight_scale", Need::always);
    set_rotation();
}

// The scales say how many columns there are, and with them the codes how many bits they have.
void Module::fill_w4a8() {
    static const float uniform[] = {-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7};
    const TensorInfo * scales = find("weight_s_rel");
    if (!scales || scales->shape.size() != 2)
        refuse(scales ? "weight_s_rel is no matrix" : "weight_s_rel is missing");
    const int64_t group = group_of("group_size", 16), groups = scales->shape[1];
    const int64_t columns = groups > INT64_MAX / 8 / max_group ? 0 : groups * group;
    set_matrix("I8", columns);
    const int64_t rows = coding_.shape[0], bits = 8 * coding_.row_bytes;
    if (bits != 4 * columns && (bits != 6 * columns || columns % 4))
        refuse(words("its rows of %lld bytes do not hold %lld codes of 4 or 6 bits",
                     static_cast<long long>(coding_.row_bytes), static_cast<long long>(columns)));
    coding_.group = group;
    coding_.group_scale = numbers("weight_s_rel", Type::e4m3, rows * groups, Need::always);
    set_scale("weight_s_channel", Need::always);
    set_rotation();
    const Numbers codebook = numbers("weight_codebook", Type::f32, 16, Need::optional);
    coding_.correction = numbers("weight_correction", Type::f32, rows * groups, Need::optional);
    if (bits == 6 * columns && (codebook.data || coding_.correction.data))
        refuse("codes of 6 bits have no codebook and no correction");
    if (bits == 6 * columns)
        coding_.format = Format::w6a8;
    for (int i = 0; i < 16; ++i)
        coding_.levels[i] = codebook.data ? codebook[i] : uniform[i];
    if (!std::all_of(std::begin(coding_.levels), std::end(coding_.levels),
                     [](float level) { return std::isfinite(level); }))
        refuse("weight_codebook is not finite");
}

// Blocks of columns, each with a scale, in the order of cuBLAS.
void Module::set_blocks(View dtype, int64_t columns, int64_t block) {
    set_matrix(dtype, columns);
    if (columns % block)
        refuse(words("its rows have %lld values, no multiple of %lld",
                     static_cast<long long>(columns), static_cast<long long>(block)));
    const int64_t count = round_up(coding_.shape[0], 128) * round_up(columns / block, 4);
    const Type type = coding_.format == Format::nvfp4 ? Type::e4m3 : Type::e8m0;
    coding_.group = coding_.padding = block;
    coding_.group_scale = numbers("weight_scale", type, count, Need::always);
}

void Module::fill_nvfp4() {
    set_blocks("U8", weight_.shape.size() == 2 ? 2 * weight_.shape[1] : 0, 16);
    set_scale("weight_scale_2", Need::always);
}

void Module::fill_mxfp8() {
    set_blocks("F8_E4M3", weight_.shape.size() == 2 ? weight_.shape[1] : 0, 32);
}

} // namespace

// ---- all of a part

// What the metadata of the files says of modules, by their names, of those in `wanted`.
static std::map<View, Json> stated_markers(const Files & files, const std::vector<View> & wanted) {
    std::map<View, Json> markers;
    const char * const key = codings_key;
    static const View prefixes[] = {"", "model.diffusion_model.", "diffusion_model."};
    for (const TensorFile * file : files) {
        const std::optional<Json> text = file->metadata.find(key);
        if (!text)
            continue;
        const Json all = Json::parse(text->string(key), key);
        const std::optional<Json> layers = all.find("layers");
        if (!layers)
            continue;
        for (const auto & [name, marker] : layers->object(std::string(key) + ": layers"))
            for (const View prefix : prefixes) {
                const std::string full = std::string(prefix) + std::string(name);
                const auto at = std::lower_bound(wanted.begin(), wanted.end(), View(full));
                if (at != wanted.end() && *at == full)
                    markers.emplace(*at, marker);
            }
    }
    return markers;
}

static View module_of(const TensorInfo & tensor) {
    const View name = tensor.name, end = ".weight";
    const bool is_weight = name.size() > end.size() && name.substr(name.size() - end.size()) == end;
    return is_weight ? name.substr(0, name.size() - end.size()) : View();
}

void find_codings(Index & tensors, const Files & files) {
    std::vector<View> modules;
    for (const auto & [name, source] : tensors)
        if (const View module = module_of(*source.info); !module.empty())
            modules.push_back(module);
    std::sort(modules.begin(), modules.end());
    const std::map<View, Json> markers = stated_markers(files, modules);
    std::vector<std::string> coded; // official names, without "weight"
    for (auto & [name, source] : tensors) {
        const View module = module_of(*source.info);
        const auto marker = markers.find(module);
        source.coding = Module(*source.file, module, *source.info,
                               marker == markers.end() ? Json() : marker->second)
                            .coding();
        if (source.coding && !module.empty())
            coded.push_back(name.substr(0, name.size() - std::strlen("weight")));
    }
    for (const std::string & module : coded)
        for (const char * companion : companions)
            tensors.erase(module + companion);
}

} // namespace ltx2
