#include "files/config.h"

#include "base/utf8.h"

namespace ltx2 {

void Config::refuse(const char * key, const std::string & problem) const {
    fail(LTX2_STATUS_MODEL, "%s: %s", what(key).c_str(), problem.c_str());
}

std::optional<Json> Config::find(const char * key) const {
    std::optional<Json> value = object_ ? object_->find(prefix_ + key) : std::nullopt;
    return value && value->kind() != Json::Kind::null ? value : std::nullopt;
}

Json Config::need(const char * key) const {
    const std::optional<Json> value = find(key);
    if (!value)
        refuse(key, "is missing");
    return *value;
}

std::string Config::text(const char * key) const {
    return std::string(need(key).string(what(key)));
}
Json::Array Config::array(const char * key) const { return need(key).array(what(key)); }
Json::Object Config::object(const char * key) const { return need(key).object(what(key)); }

Config Config::at(const char * key) const {
    object(key);
    return Config(find(key), what(key) + ".");
}

int Config::integer(const char * key, int least, int most) const {
    const int64_t n = need(key).integer(what(key));
    const auto value = static_cast<long long>(n);
    if (least == most && n != most)
        refuse(key, words("%lld is not supported; %d is", value, most));
    if (n < least || n > most)
        refuse(key, words("%lld is not in %d..%d", value, least, most));
    return static_cast<int>(n);
}

int Config::integer(const char * key, int otherwise, int least, int most) const {
    return find(key) ? integer(key, least, most) : otherwise;
}

double Config::number(const char * key, double otherwise, double least, double most) const {
    const std::optional<Json> value = find(key);
    const double n = value ? value->number(what(key)) : otherwise;
    if (!(n >= least && n <= most)) // what is not a number is neither
        refuse(key, words("%g is not in %g..%g", n, least, most));
    return n;
}

bool Config::flag(const char * key, bool otherwise) const {
    const std::optional<Json> value = find(key);
    return value ? value->boolean(what(key)) : otherwise;
}

std::string Config::text(const char * key, const std::string & otherwise) const {
    const std::optional<Json> value = find(key);
    return value ? std::string(value->string(what(key))) : otherwise;
}

std::vector<double> Config::numbers(const char * key, const std::vector<double> & otherwise) const {
    const std::optional<Json> value = find(key);
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
        refuse(key, shown(have) + " is not supported; " + wanted + " is");
}

void Config::require_flag(const char * key, bool wanted, bool otherwise) const {
    if (flag(key, otherwise) != wanted)
        refuse(key, wanted ? "false is not supported" : "true is not supported");
}

} // namespace ltx2
