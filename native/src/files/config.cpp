#include "files/config.h"

namespace ltx2 {

Config::Config(const Json & config, const std::string & name, const std::string & path)
    : group_(config.find(name)), where_((path.empty() ? "" : path + ": ") + "config " + name) {}

void Config::refuse(const std::string & problem) const {
    fail(LTX2_STATUS_MODEL, "%s: %s", where_.c_str(), problem.c_str());
}

void Config::refuse(const char * key, const std::string & problem) const {
    fail(LTX2_STATUS_MODEL, "%s: %s", what(key).c_str(), problem.c_str());
}

const Json::Array & Config::array(const char * key) const {
    const Json * value = find(key);
    if (!value)
        fail(LTX2_STATUS_MODEL, "%s: is missing", what(key).c_str());
    return value->array(what(key));
}

const Json * Config::find(const char * key) const {
    const Json * value = group_ ? group_->find(key) : nullptr;
    return value && value->kind() != Json::Kind::null ? value : nullptr;
}

int64_t Config::integer(const char * key, int64_t otherwise, int64_t least, int64_t most) const {
    const Json * value = find(key);
    const int64_t n = value ? value->integer(what(key)) : otherwise;
    if (n < least || n > most)
        fail(LTX2_STATUS_MODEL, "%s: %lld is not in %lld..%lld", what(key).c_str(),
             static_cast<long long>(n), static_cast<long long>(least),
             static_cast<long long>(most));
    return n;
}

double Config::number(const char * key, double otherwise) const {
    const Json * value = find(key);
    return value ? value->number(what(key)) : otherwise;
}

bool Config::flag(const char * key, bool otherwise) const {
    const Json * value = find(key);
    return value ? value->boolean(what(key)) : otherwise;
}

std::string Config::text(const char * key, const std::string & otherwise) const {
    const Json * value = find(key);
    return value ? value->string(what(key)) : otherwise;
}

std::vector<double> Config::numbers(const char * key, const std::vector<double> & otherwise) const {
    const Json * value = find(key);
    if (!value)
        return otherwise;
    std::vector<double> out;
    for (const Json & item : value->array(what(key)))
        out.push_back(item.number(what(key)));
    return out;
}

void Config::require(const char * key, const std::string & wanted,
                     const std::string & otherwise) const {
    const std::string have = text(key, otherwise);
    if (have != wanted)
        fail(LTX2_STATUS_MODEL, "%s: %s is not supported; LTX-2.3 has %s", what(key).c_str(),
             have.c_str(), wanted.c_str());
}

void Config::require_flag(const char * key, bool wanted, bool otherwise) const {
    if (flag(key, otherwise) != wanted)
        fail(LTX2_STATUS_MODEL, "%s: %s is not supported", what(key).c_str(),
             wanted ? "false" : "true");
}

} // namespace ltx2
