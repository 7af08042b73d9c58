// Numbers and words under keys of a file, read with defaults and within bounds, so that no number
// from a file reaches an allocation or a ggml shape unchecked.
#pragma once

#include "files/json.h"

#include <string>
#include <vector>

namespace ltx2 {

class Config {
public:
    // The keys of `object` (nothing: there are none) that begin with `prefix`; errors call a key
    // `where` + prefix + key.
    Config(std::optional<Json> object, std::string where, std::string prefix = "")
        : object_(std::move(object)), where_(std::move(where)), prefix_(std::move(prefix)) {}

    std::optional<Json> find(const char * key) const; // nothing where absent or null
    // Errors: MODEL naming the key: missing without a default, of the wrong kind, out of bounds.
    int integer(const char * key, int least, int most) const;
    int integer(const char * key, int otherwise, int least, int most) const;
    double number(const char * key, double otherwise, double least, double most) const;
    bool flag(const char * key, bool otherwise) const;
    std::string text(const char * key, const std::string & otherwise) const;
    std::string text(const char * key) const;
    std::vector<double> numbers(const char * key, const std::vector<double> & otherwise) const;
    Json::Array array(const char * key) const;
    Json::Object object(const char * key) const;
    Config at(const char * key) const; // the keys of the object under this key
    // MODEL where the value, or the default, is another than the one that is supported.
    void require(const char * key, const std::string & wanted,
                 const std::string & otherwise = "none") const;
    void require_flag(const char * key, bool wanted, bool otherwise) const;

    std::string what(const char * key) const { return where_ + prefix_ + key; }
    [[noreturn]] void refuse(const char * key, const std::string & problem) const;

private:
    Json need(const char * key) const;
    std::optional<Json> object_;
    std::string where_, prefix_;
};

} // namespace ltx2
