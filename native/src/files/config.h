// A group of a checkpoint's `config` JSON, read key by key with the reference's defaults and with
// bounds, so that no number from a file reaches an allocation or a ggml shape unchecked.
#pragma once

#include "files/json.h"

#include <string>
#include <vector>

namespace ltx2 {

class Config {
public:
    // The group `name` of `config`, of the file `path`; a missing group is an empty one.
    Config(const Json & config, const std::string & name, const std::string & path = "");

    bool has(const char * key) const { return find(key) != nullptr; }
    // Errors: MODEL naming `name.key` (wrong kind, out of bounds, another value than `wanted`).
    int64_t integer(const char * key, int64_t otherwise, int64_t least, int64_t most) const;
    double number(const char * key, double otherwise) const;
    bool flag(const char * key, bool otherwise) const;
    std::string text(const char * key, const std::string & otherwise) const;
    std::vector<double> numbers(const char * key, const std::vector<double> & otherwise) const;
    void require(const char * key, const std::string & wanted, const std::string & otherwise) const;
    void require_flag(const char * key, bool wanted, bool otherwise) const;
    const Json::Array & array(const char * key) const; // must be there
    std::string what(const char * key) const { return where_ + "." + key; }
    [[noreturn]] void refuse(const std::string & problem) const; // of the group
    [[noreturn]] void refuse(const char * key, const std::string & problem) const;

private:
    const Json * find(const char * key) const; // null where absent or null
    const Json * group_;
    std::string where_; // "FILE: config NAME"
};

} // namespace ltx2
