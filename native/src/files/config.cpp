#include "files/config.h"

namespace ltx2 {

Config::Config(const Json & config, const std::string & name)
    : group_(config.find(name)), name_(name) {}

const Json * Config::find(const char * key) const {
    const Json * value = group_ ? group_->find(key) : nullptr;
    return value && value->kind() != Json::Kind::null ? value : nullptr;
}

int64_t Config::integer(const char * key, int64_t otherwise, int64_t least, int64_t most) const {
    const Json * value = find(key);
    const int64_t n = value ? value->integer("config " + name_ + "." + key) : otherwise;
    if (n < least || n > most)
        fail(LTX2_STATUS_MODEL, "config %s.%s: %lld is not in %lld..%lld", name_.c_str(), key,
             static_cast<long long>(n), static_cast<long long>(least),
             static_cast<long long>(most));
    return n;
}

double Config::number(const char * key, double otherwise) const {
    const Json * value = find(key);
    return value ? value->number("config " + name_ + "." + key) : otherwise;
}

bool Config::flag(const char * key, bool otherwise) const {
    const Json * value = find(key);
    return value ? value->boolean("config " + name_ + "." + key) : otherwise;
}

std::string Config::text(const char * key, const std::string & otherwise) const {
    const Json * value = find(key);
    return value ? value->string("config " + name_ + "." + key) : otherwise;
}

std::vector<double> Config::numbers(const char * key, const std::vector<double> & otherwise) const {
    const Json * value = find(key);
    if (!value)
        return otherwise;
    std::vector<double> out;
    for (const Json & item : value->array("config " + name_ + "." + key))
        out.push_back(item.number("config " + name_ + "." + key));
    return out;
}

void Config::require(const char * key, const std::string & wanted,
                     const std::string & otherwise) const {
    const std::string have = text(key, otherwise);
    if (have != wanted)
        fail(LTX2_STATUS_MODEL, "config %s.%s: %s is not supported; LTX-2.3 has %s", name_.c_str(),
             key, have.c_str(), wanted.c_str());
}

void Config::require_flag(const char * key, bool wanted, bool otherwise) const {
    if (flag(key, otherwise) != wanted)
        fail(LTX2_STATUS_MODEL, "config %s.%s: %s is not supported", name_.c_str(), key,
             wanted ? "false" : "true");
}

} // namespace ltx2
