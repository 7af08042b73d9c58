#include "model/recognise.h"

#include "base/utf8.h"
#include "files/paths.h"
#include "model/codings.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <optional>

namespace ltx2 {

using View = std::string_view;

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

// A star takes as little as lets the rest fit, so only the last one is ever tried again.
bool matches(View pattern, View name, View * number) {
    size_t at = 0, star = View::npos;
    View after; // what the star is followed by, at its next try
    while (at < pattern.size() || !name.empty()) {
        size_t length = 0;
        if (at < pattern.size() && pattern[at] == '*') {
            star = at++;
            after = name;
            if (at == pattern.size())
                return true;
            continue;
        }
        if (at < pattern.size() && pattern[at] == '#')
            while (length < name.size() && is_digit(name[length]))
                ++length;
        else
            length = at < pattern.size() && !name.empty() && pattern[at] == name[0];
        if (length) {
            if (number && pattern.find('#') == at)
                *number = name.substr(0, length);
            name.remove_prefix(length);
            ++at;
        } else if (star == View::npos || after.empty()) {
            return false;
        } else {
            after.remove_prefix(1);
            name = after;
            at = star + 1;
        }
    }
    return true;
}

// ---- names

// The official name of a tensor of this part, or nothing.
static std::optional<std::string> official_name(const PartRow & row, View given, float & added) {
    for (const Naming & naming : row.namings)
        for (const char * prefix : naming.prefixes) {
            const size_t length = std::strlen(prefix);
            if (given.compare(0, length, prefix) != 0)
                continue;
            const View rest = given.substr(length);
            View number;
            for (const Name & name : naming.names) {
                if (!matches(name.given, rest, &number))
                    continue;
                added = name.added;
                std::string official = name.official ? name.official : std::string(rest);
                if (const size_t at = official.find('#'); at != std::string::npos)
                    official.replace(at, 1, number);
                return naming.official + official;
            }
        }
    return {};
}

using Files = std::vector<const TensorFile *>;

// A name that two of the files hold; empty where there is none.
static std::string twice_given(const Files & files) {
    std::vector<View> names;
    for (const TensorFile * file : files)
        for (const TensorInfo & tensor : file->tensors)
            names.push_back(tensor.name);
    std::sort(names.begin(), names.end());
    const auto twice = std::adjacent_find(names.begin(), names.end());
    return twice == names.end() ? "" : std::string(*twice);
}

// Those that may be the part's, as the reference calls them; `twice` names one that two make.
static Index official_names(const PartRow & row, const Files & files, std::string & twice) {
    Index found;
    for (const TensorFile * file : files)
        for (const TensorInfo & tensor : file->tensors) {
            Source own{&tensor, file};
            const auto name = official_name(row, tensor.name, own.added);
            if (name && !found.emplace(*name, own).second)
                twice = tensor.name;
        }
    return found;
}

// ---- signs

using Letters = std::map<char, int64_t>;

// What the letters are if a tensor has this shape, or nothing where it cannot have it.
static std::optional<Letters> solve(const char * shape, const std::vector<int64_t> & have) {
    Letters letters;
    size_t i = 0;
    for (const char * at = shape; *at; at += *at == ' ', ++i) {
        char * letter; // after its factor
        const int64_t factor = std::max<int64_t>(std::strtol(at, &letter, 10), 1);
        const bool fixed = *letter == '\0' || *letter == ' ';
        at = letter + !fixed;
        if (i >= have.size())
            return {};
        if (*letter == '?')
            continue;
        const int64_t size = have[i] / factor;
        if (fixed ? have[i] != factor : have[i] % factor != 0)
            return {};
        if (!fixed && letters.emplace(*letter, size).first->second != size)
            return {};
    }
    return !*shape || i == have.size() ? std::optional(letters) : std::nullopt;
}

static const TensorInfo * find(const char * pattern, const Index & tensors) {
    if (const auto at = tensors.find(pattern); at != tensors.end())
        return at->second.info;
    if (std::strpbrk(pattern, "#*"))
        for (const auto & [name, source] : tensors)
            if (matches(pattern, name))
                return source.info;
    return nullptr;
}

static const TensorInfo * find(const char * pattern, const Files & files) {
    for (const TensorFile * file : files)
        if (const TensorInfo * tensor = file->find(pattern))
            return tensor;
    if (std::strpbrk(pattern, "#*"))
        for (const TensorFile * file : files)
            for (const uint32_t i : file->by_name)
                if (matches(pattern, file->tensors[i].name))
                    return &file->tensors[i];
    return nullptr;
}

static bool holds(const Sign & sign, const Index & tensors) {
    const TensorInfo * tensor = find(sign.name, tensors);
    return tensor && solve(sign.shape, tensor->shape);
}

// How many of the signs hold together: for each letter, the size that most of them agree on.
template <class Tensors>
static int count_signs(const std::vector<Sign> & signs, const Tensors & tensors) {
    std::vector<Letters> solved;
    std::map<char, std::map<int64_t, int>> votes;
    for (const Sign & sign : signs) {
        const TensorInfo * tensor = find(sign.name, tensors);
        const auto letters = tensor ? solve(sign.shape, tensor->shape) : std::nullopt;
        if (!letters)
            continue;
        for (const auto & [letter, size] : *letters)
            ++votes[letter][size];
        solved.push_back(*letters);
    }
    const auto less = [](const auto & a, const auto & b) { return a.second < b.second; };
    Letters agreed;
    for (const auto & [letter, sizes] : votes)
        agreed[letter] = std::max_element(sizes.begin(), sizes.end(), less)->first;
    return static_cast<int>(
        std::count_if(solved.begin(), solved.end(), [&](const Letters & letters) {
            return std::all_of(letters.begin(), letters.end(),
                               [&](const auto & l) { return agreed[l.first] == l.second; });
        }));
}

bool holds_weights(ggml_type type) {
    return type == GGML_TYPE_F32 ||
           (type < GGML_TYPE_COUNT && ggml_get_type_traits(type)->to_float);
}

void check_type(const Source & source, const std::string & name, int64_t row) {
    if (source.coding)
        return; // its shape was compared with its codes
    const TensorInfo & info = *source.info;
    if (!holds_weights(info.type))
        fail(LTX2_STATUS_MODEL, "%s: tensor %s is %s, which is not supported for weights",
             source.file->path.c_str(), name.c_str(), info.dtype);
    const int64_t block = ggml_blck_size(info.type);
    if (info.shape.empty() || info.shape.back() % block || row % block)
        fail(LTX2_STATUS_MODEL, "%s: tensor %s has rows that are no multiple of %lld",
             source.file->path.c_str(), name.c_str(), static_cast<long long>(block));
}

// ---- is it one of ours, and can it be computed with

static std::string text_of(const TensorFile & file, const char * key) {
    const std::optional<Json> value = file.metadata.find(key);
    return value ? std::string(value->string(file.path + ": " + key)) : "";
}

Generations stated_generations(const TensorFile & file) {
    const std::string version = text_of(file, "model_version");
    return version.empty() ? any_generation : generation_of(version);
}

const char * text_config_key(const TensorFile & file) {
    if (!file.is_gguf())
        return "gemma_config";
    return file.find("tokenizer_json") ? "config" : nullptr;
}

static std::string architecture_of(const TensorFile & file) {
    const std::string config = next_to(file.path, "config.json");
    const char * key = text_config_key(file);
    if (!key)
        return text_of(file, "general.architecture");
    const auto model_type = [](const Json & json, const std::string & what) {
        const std::optional<Json> kind = json.find("model_type");
        return kind ? std::string(kind->string(what + ": model_type")) : "none";
    };
    if (const std::string own = text_of(file, key); !own.empty())
        return model_type(Json::parse(own, file.path + ": " + key), key);
    // what there is to say is in the file itself
    if (file.find("spiece_model") || file.find("tokenizer_json") || !exists(config))
        return "";
    return model_type(read_json(config), config);
}

static std::string other_version(Found & found, const Files &) {
    for (const Other & other : found.row->others)
        if (holds(other.sign, found.tensors) != other.lacks)
            return words("is %s (%s%s), which is not supported; give %s", other.what,
                         other.lacks ? "no " : "", other.sign.name, found.row->source);
    return "";
}

static std::string other_architecture(Found & found, const Files & files) {
    const auto & ours = found.row->architectures;
    if (ours.empty())
        return "";
    const TensorFile & file = *files.front();
    found.architecture = architecture_of(file);
    if (std::find(ours.begin(), ours.end(), found.architecture) != ours.end() ||
        (found.architecture.empty() && text_config_key(file)))
        return "";
    return words("has the architecture %s, which is not supported; give %s",
                 shown(found.architecture).c_str(), found.row->source);
}

// Whether half of the sizes are those of this generation.
static bool has_sizes_of(const Generation & generation, const Found & found) {
    std::vector<Sign> sizes;
    for (const Size & size : found.row->sizes)
        if (size.generations & generation.bit)
            sizes.push_back(size.sign);
    return count_signs(sizes, found.tensors) * 2 >= static_cast<int>(sizes.size());
}

static std::string other_sizes(Found & found, const Files & files) {
    for (const Generation & generation : generations())
        if (generation.bit & found.generations && has_sizes_of(generation, found))
            return "";
    if (!text_of(*files.front(), "model_version").empty())
        return "";
    return words("its %s has other sizes than that of %s, and it states no model_version; give %s",
                 found.row->title, names_of(found.generations).c_str(), found.row->source);
}

static std::string wrong_coding(Found & found, const Files & files) {
    try {
        find_codings(found.tensors, files);
        return "";
    } catch (const Error & e) {
        if (e.status() != LTX2_STATUS_MODEL)
            throw;
        return e.what();
    }
}

static std::string unknown_type(Found & found, const Files &) {
    for (const auto & [name, source] : found.tensors)
        if (!source.coding && source.info->type == GGML_TYPE_COUNT)
            return words("tensor %s is %s, which is not computed with",
                         shown(source.info->name).c_str(), source.info->dtype);
    return "";
}

// Of several problems, the one that says most.
static std::string parts_problem(std::vector<Found> & parts, const Files & files) {
    for (const auto check :
         {other_version, other_architecture, other_sizes, wrong_coding, unknown_type})
        for (Found & found : parts) {
            const std::string problem = check(found, files);
            if (!problem.empty() && found.row->is_loaded())
                return problem;
            if (!problem.empty())
                found.tensors.clear(); // it cannot be kept, and is not missed
        }
    return "";
}

static std::string file_problem(const Files & files) {
    const TensorFile & file = *files.front();
    if (!stated_generations(file))
        return words("states model_version %s; %s is supported",
                     shown(text_of(file, "model_version")).c_str(),
                     names_of(any_generation).c_str());
    const std::optional<Json> stated = file.metadata.find("split.count"); // llama.cpp's
    const int64_t count = stated ? stated->integer(file.path + ": split.count") : 0;
    if (count > 1 && count != static_cast<int64_t>(files.size()))
        return words(
            "is one of %lld parts; give them in one folder, named NAME-00001-of-%05lld.gguf",
            static_cast<long long>(count), static_cast<long long>(count));
    return "";
}

// Which generations each part can be of: its own tensors tell, then what it was trained with, then
// what the file states. The problem, where those do not fit together.
static std::string tell_generations(std::vector<Found> & parts, const Files & files) {
    std::string problem;
    Generations common = any_generation;
    const Found * first = nullptr; // that left so few
    for (Found & found : parts) {
        const auto & marks = found.row->marks;
        const auto mark = std::find_if(marks.begin(), marks.end(), [&](const Mark & m) {
            return holds(m.sign, found.tensors) != m.lacks;
        });
        if (mark != marks.end())
            found.generations = mark->generations;
        if (!found.row->trained_together)
            continue;
        const Generations left = common & found.generations;
        if (!left && problem.empty())
            problem = words("its %s is of %s, and its %s of %s; give them of one",
                            first->row->title, names_of(common).c_str(), found.row->title,
                            names_of(found.generations).c_str());
        if (left && left != common) {
            common = left;
            first = &found;
        }
    }
    const Generations stated = stated_generations(*files.front());
    common = common & stated ? common & stated : common;
    for (Found & found : parts) {
        const Generations left = found.generations & common;
        const Generations one = left ? left : found.generations;
        found.generations = 0;
        for (const Generations alike : found.row->shared)
            found.generations |= alike & one ? alike : 0;
    }
    return problem;
}

// Where no part is needed: what the file is instead.
static void say_what_it_is(Contents & contents) {
    std::string titles;
    for (const Found & found : contents.parts) {
        if (found.row->refusal) {
            contents.problem = found.row->refusal;
            return;
        }
        titles += (titles.empty() ? "" : ", ") + std::string(found.row->title);
    }
    contents.refused = titles.empty();
    contents.problem = titles.empty() ? "holds no part of LTX-2 that is known"
                                      : "holds nothing that is used (" + titles + ")";
}

const PartRow * unused_part(const TensorInfo & tensor) {
    for (const PartRow & row : part_rows()) {
        float added = 0;
        const std::optional<std::string> official = official_name(row, tensor.name, added);
        const auto fits = [&](const Sign & sign) { return matches(sign.name, tensor.name); };
        // Sound that is not complete has no short names: others have them too.
        if (row.is_loaded() ? row.sound && official && row.prefix + *official == tensor.name
                            : official || std::any_of(row.signs.begin(), row.signs.end(), fits))
            return &row;
    }
    return nullptr;
}

Contents recognise(const std::vector<const TensorFile *> & files) {
    Contents contents;
    std::string twice = files.size() > 1 ? twice_given(files) : ""; // in one they are not
    bool any = false;                                               // that is loaded
    for (const PartRow & row : part_rows()) {
        const bool loaded = row.is_loaded();
        std::string again;
        Found found{&row, official_names(row, files, again), ""};
        if (row.adds_nothing && find(row.adds_nothing, found.tensors))
            for (auto & [name, source] : found.tensors)
                source.added = 0;
        const int signs =
            loaded ? count_signs(row.signs, found.tensors) : count_signs(row.signs, files);
        const auto has_all = [&](const std::vector<Sign> & all) {
            return count_signs(all, found.tensors) == static_cast<int>(all.size());
        };
        if (signs < row.enough || !has_all(row.only) || (!row.never.empty() && has_all(row.never)))
            continue;
        any = any || loaded;
        if (twice.empty() && loaded)
            twice = again;
        contents.parts.push_back(std::move(found));
    }
    if (!any) {
        say_what_it_is(contents);
        return contents;
    }
    contents.problem = file_problem(files);
    const std::string mixed = tell_generations(contents.parts, files);
    if (contents.problem.empty())
        contents.problem = parts_problem(contents.parts, files);
    if (contents.problem.empty())
        contents.problem = mixed;
    if (contents.problem.empty() && !twice.empty())
        contents.problem = "holds tensor " + shown(twice) + " twice";
    return contents;
}

} // namespace ltx2
