#include "model/model.h"

#include "base/log.h"
#include <algorithm>

namespace ltx2 {

Model::Model(const std::vector<std::string> & paths, const std::vector<Adapter> & adapters)
    : adapters_(adapters.begin(), adapters.end()) {
    if (paths.empty())
        fail(LTX2_STATUS_INVALID_ARGUMENT, "files: none given");
    std::vector<FileSet> sets = file_sets(paths);
    // The shards of one first: a file next to them that holds the same is a copy of them.
    std::stable_partition(sets.begin(), sets.end(),
                          [](const FileSet & set) { return set.paths.size() > 1; });
    for (const FileSet & set : sets)
        add(set);
    read_configs();
    for (Adapter & adapter : adapters_)
        add_adapter(adapter);
}

static bool is_loaded(const Found & found) { return found.row->is_loaded(); }

const Part * Model::find(std::string_view id) const {
    const auto found = parts_.find(id);
    return found == parts_.end() ? nullptr : &found->second;
}

const Part & Model::need(std::string_view id) const {
    const Part * part = find(id);
    for (const PartRow & row : part_rows())
        if (!part && row.id == id)
            fail_missing({&row});
    return *part;
}

void Model::need_all() const {
    std::vector<const PartRow *> missing;
    for (const PartRow & row : part_rows())
        if (row.need == Need::always && !find(row.id))
            missing.push_back(&row);
    if (!missing.empty())
        fail_missing(missing);
}

const Part * Model::leader() const {
    for (const auto & [id, part] : parts_)
        if (part.row->leads)
            return &part;
    return nullptr;
}

const Generation & Model::generation() const {
    Generations left = any_generation;
    if (const Part * part = leader())
        return newest(part->generations);
    for (const auto & [id, part] : parts_)
        left = left & part.generations ? left & part.generations : left;
    return newest(left & ltx_2_3 ? ltx_2_3 : left);
}

void Model::check_generations() const {
    const Part * first = leader();
    for (const auto & [id, part] : parts_)
        if (first && part.row->is_loaded() && !(part.generations & generation().bit))
            fail(LTX2_STATUS_MODEL, "%s: its %s is of %s, and the %s of %s of %s; give them of one",
                 part.file->path.c_str(), part.row->title, names_of(part.generations).c_str(),
                 first->row->title, first->file->path.c_str(), generation().name);
}

void Model::check_unchanged() const {
    for (const TensorFile & file : files_)
        file.mapping->check_unchanged();
}

void Model::fail_missing(const std::vector<const PartRow *> & missing) const {
    std::string given, titles, sources, skipped;
    for (const TensorFile & file : files_)
        given += (given.empty() ? "" : ", ") + file.path;
    for (const PartRow * row : missing) {
        titles += (titles.empty() ? "" : ", ") + std::string(row->title);
        if (sources.find(row->source) == std::string::npos)
            sources += (sources.empty() ? "" : "; and ") + std::string(row->source);
    }
    std::vector<Skipped> sorted = skipped_;
    std::stable_partition(sorted.begin(), sorted.end(),
                          [](const Skipped & s) { return !s.stranger; });
    const size_t most = 8;
    for (size_t i = 0; i < sorted.size() && i < most; ++i)
        skipped += (i ? ", " : "; skipped: ") + sorted[i].path + " (" + sorted[i].why + ")";
    if (sorted.size() > most)
        skipped += words(" and %zu more", sorted.size() - most);
    fail(LTX2_STATUS_MODEL, "model: no %s in %s; give %s%s", titles.c_str(),
         given.empty() ? "the files given" : given.c_str(), sources.c_str(), skipped.c_str());
}

// ---- files

// In a folder, what cannot be used is skipped; a file that was asked for must be of use.
void Model::skip(const FileSet & set, const std::string & why, bool stranger, bool refused) {
    const std::string & path = set.paths[0];
    const std::string own = path + ": ";
    const std::string text = why.compare(0, own.size(), own) == 0 ? why.substr(own.size()) : why;
    if (set.asked_for && refused)
        fail(LTX2_STATUS_MODEL, "%s: %s", path.c_str(), text.c_str());
    log(Level::info, "%s: skipped: %s", path.c_str(), text.c_str());
    skipped_.push_back({path, text, stranger});
}

static Json stated_config(const TensorFile & file) {
    const std::optional<Json> text = file.metadata.find("config");
    const std::string what = file.path + ": config";
    if (!text || text->string(what).empty())
        return Json(Json::Object());
    Json config = Json::parse(text->string(what), what);
    for (const auto & [group, value] : config.object(what))
        if (value.kind() != Json::Kind::null)
            for (const PartRow & row : part_rows())
                for (const char * wanted : row.groups)
                    if (group == wanted)
                        value.object(what + " " + std::string(group));
    return config;
}

void Model::add(const FileSet & set) {
    std::list<TensorFile> files;
    std::vector<const TensorFile *> pointers;
    Contents contents;
    Json config;
    try {
        for (const std::string & path : set.paths)
            pointers.push_back(&files.emplace_back(read_tensor_file(path)));
        contents = recognise(pointers);
        for (const TensorFile & file : files)
            file.mapping->check_unchanged(); // which markers were read from
        if (contents.problem.empty())
            config = stated_config(files.front());
    } catch (const Error & e) {
        if (e.status() != LTX2_STATUS_MODEL)
            throw;
        return skip(set, e.what(), false, true);
    }
    const bool stranger = std::none_of(contents.parts.begin(), contents.parts.end(), is_loaded);
    if (!set.missing.empty())
        return skip(set, set.missing[0] + ", which belongs to it, is missing; get all of them",
                    stranger, true);
    if (!contents.problem.empty()) {
        skip(set, contents.problem, stranger, contents.refused);
        if (!contents.refused) {
            for (Found & found : contents.parts)
                claim(found, contents, set, files.front());
            unused_.splice(unused_.end(), files);
        }
        return;
    }
    const auto is_copy = [&](const Found & found) {
        const Part * other = find(found.row->id);
        return !is_loaded(found) || (other && other->whole == folder_of(files.front().path));
    };
    if (!stranger && std::all_of(contents.parts.begin(), contents.parts.end(), is_copy))
        return skip(set, "holds what the shards next to it hold", false, true);
    for (Found & found : contents.parts)
        claim(found, contents, set, files.front());
    stated_[&files.front()] = std::move(config);
    files_.splice(files_.end(), files);
}

// Two files may not hold the same part, except where one of them has it beside what it belongs to,
// and the other is needed for something else. Of one that is not used, the first is taken.
void Model::claim(Found & found, const Contents & all, const FileSet & set,
                  const TensorFile & file) {
    if (!is_loaded(found) && (found.tensors.empty() || find(found.row->id)))
        return;
    const auto [at, fresh] = parts_.try_emplace(found.row->id);
    Part & part = at->second;
    if (!fresh && found.row->sound && !set.asked_for) {
        log(Level::info, "%s: its %s is not used: %s has one", file.path.c_str(), found.row->title,
            part.file->path.c_str());
        return;
    }
    if (!fresh) {
        const auto claimed = [&](const auto & wanted) { // by the file that was first
            return std::any_of(parts_.begin(), parts_.end(), [&](const auto & p) {
                const PartRow & row = *p.second.row;
                return p.second.file == part.file && row.is_loaded() && wanted(row);
            });
        };
        const auto holds = [&](const auto & wanted) { // the file that comes now
            return std::any_of(all.parts.begin(), all.parts.end(), [&](const Found & f) {
                return f.row->is_loaded() && wanted(*f.row);
            });
        };
        const auto owner = [&](const PartRow & row) {
            return found.row->belongs_to && row.id == std::string_view(found.row->belongs_to);
        };
        const auto other = [&](const PartRow & row) { return &row != found.row; };
        const bool first = claimed(owner) && !holds(owner) && holds(other);
        const bool second = holds(owner) && !claimed(owner) && claimed(other);
        if (!first && !second)
            fail(LTX2_STATUS_MODEL, "%s: holds a %s, and so does %s; give one of them",
                 file.path.c_str(), found.row->title, part.file->path.c_str());
        log(Level::info, "%s: its %s is not used: %s has the one of its own transformer",
            (first ? file : *part.file).path.c_str(), found.row->title,
            (first ? *part.file : file).path.c_str());
        if (first)
            return;
    }
    part.row = found.row;
    part.file = &file;
    part.whole = set.paths.size() > 1 ? folder_of(file.path) : file.path;
    part.tensors = std::move(found.tensors);
    part.architecture = std::move(found.architecture);
    part.generations = found.generations;
}

// ---- adapters

// Whether a word is in a file's name.
static bool is_named(const std::string & path, const std::string & word) {
    std::string name = file_name(path);
    for (char & c : name)
        c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    return name.find(word) != std::string::npos;
}

// By what an adapter's file states, else by its name; 0: nothing tells.
static Generations generations_in(const TensorFile & file) {
    const std::optional<Json> version = file.metadata.find("model_version");
    if (version && version->kind() == Json::Kind::string)
        return generation_of(std::string(version->string("")));
    for (const Generation & generation : generations())
        for (const char * name : generation.called)
            if (is_named(file.path, name))
                return generation.bit;
    return 0;
}

void Model::add_adapter(Adapter & adapter) {
    constexpr std::string_view weight = ".weight";
    Modules modules;
    std::map<std::string_view, Part *> owners; // by the same paths
    for (auto & [id, part] : parts_)
        for (const auto & [name, source] : part.tensors) {
            const size_t stem = name.size() - std::min(name.size(), weight.size());
            if (source.shape().size() != 2 || name.substr(stem) != weight)
                continue;
            const auto [module, fresh] = modules.emplace(name.substr(0, stem), &source);
            if (fresh) // else the part before has its shape checked, and gets it
                owners[module->first] = &part;
        }
    for (const char * name : {"distilled-lora", "distilled_lora"}) // as the makers call theirs
        adapter.distils = adapter.distils || is_named(adapter.path, name);
    TensorFile file = read_tensor_file(adapter.path);
    for (TensorInfo & tensor : file.tensors)
        while (tensor.shape.size() > 2 && tensor.shape.back() == 1) // as of a convolution
            tensor.shape.pop_back();
    const Generations made_for = generations_in(file);
    if (made_for && !(made_for & generation().bit))
        log(Level::warning, "%s: an adapter for %s, and the model is %s: it may do harm",
            adapter.path.c_str(), names_of(made_for).c_str(), generation().name);
    files_.push_back(std::move(file));
    read_reference_factors(files_.back(), adapter);
    for (auto & [path, low] : read_adapter(files_.back(), modules, adapter))
        owners[path]->adapters[path].push_back(std::move(low));
}

void Model::set_strengths(float distilled, float referring, float others) {
    for (Adapter & adapter : adapters_)
        adapter.strength = adapter.given * (adapter.distils     ? distilled
                                            : adapter.downscale ? referring
                                                                : others);
}

// ---- what files state

// A group is taken from the part's own file, else from that of the first part that states it, else
// from what is usual of its generation. A video VAE may be of another one than the transformer, and
// state the whole config of that: it does not count. Nor does a part that none is about: the
// official duration head states two sizes of the transformer.
void Model::read_configs() {
    const Json table = usual_config(generation());
    const auto state = [&](Part & part, const char * group, const TensorFile & file) {
        const std::optional<Json> value = stated_[&file].find(group);
        if (!value || value->kind() == Json::Kind::null)
            return false;
        part.config.set(group, *value);
        part.config_paths[group] = file.path;
        return true;
    };
    for (auto & [id, part] : parts_)
        for (const char * group : part.row->groups) {
            bool found = state(part, group, *part.file);
            const bool own = std::string_view(group) == "sampling"; // no other file speaks for it
            for (const PartRow & row : part_rows())
                if (const Part * other = find(row.id);
                    other && !row.groups.empty() && !found && !own &&
                    stated_generations(*other->file) & generation().bit)
                    found = state(part, group, *other->file);
            const std::optional<Json> usual = table.find(group);
            if (found || !usual)
                continue;
            part.config.set(group, *usual);
            part.config_paths[group] = part.file->path;
            log(Level::info, "%s: states no config of its %s; %s's is taken",
                part.file->path.c_str(), part.row->title, generation().name);
        }
}

} // namespace ltx2
