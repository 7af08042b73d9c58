#include "files/json.h"
#include "fuzz.h"

#include <algorithm>

using namespace ltx2;

static void walk(const Json & json) {
    if (json.kind() == Json::Kind::array)
        for (const Json & item : json.array(""))
            walk(item);
    else if (json.kind() == Json::Kind::object)
        for (const auto & [key, value] : json.object("")) {
            if (key.size() > Json::max_bytes)
                finding("a key of %zu bytes", key.size());
            walk(value);
        }
}

void run_target(const uint8_t * data, size_t size) {
    const Json json = Json::parse(as_text(data, size), "input");
    walk(json);
    if (size > 1 << 16) // what follows holds two more copies as text
        return;
    const std::string text = json.dump();
    if (Json::parse(text, "what was written").dump() != text)
        finding("what was written reads as something else: %s", text.c_str());
}

std::vector<std::string> seeds() {
    return {R"({"a":[1,-2.5e10,"\u00e9\ud83d\ude00\n",true,false,null,{}],"b":{"c":[[]]}})",
            R"([0.1,1e300,-0,9223372036854775807,9223372036854775808,[[[[{"":""}]]]]])",
            R"( "\"\\\/\b\f\n\r\t" )"};
}

std::vector<std::string> worst_inputs() {
    const size_t size = size_t{8} << 20;
    std::vector<std::string> out;
    for (const std::string item :
         {"0,", "[],", "{},", "\"\",", "1.5,", "1e5,", "-129,", "[0],", "[1.5],", "\"\\n\",",
          "{\"\":0},", "[[[[[[[[[[[[[[[[0]]]]]]]]]]]]]]]],"}) {
        const size_t values = 1 + static_cast<size_t>(std::count(item.begin(), item.end(), '[')) +
                              static_cast<size_t>(std::count(item.begin(), item.end(), ':'));
        const size_t most = std::min(size / item.size(), (Json::max_values - 2) / values);
        out.push_back("[" + repeated(item, most) + "0]");
    }
    std::string keys = "{";
    for (int i = 0; i < 1000000; ++i)
        keys += "\"" + ltx2::words("%x", i) + "\":0,";
    out.push_back(keys + "\"x\":0}");
    out.push_back("[" + repeated("0,", Json::max_values) + "0]"); // too many
    out.push_back(repeated("[", size));
    out.push_back("\"" + repeated("\\n", size / 2) + "\"");
    out.push_back("\"" + repeated("a", size));
    return out;
}

std::vector<std::string> dictionary() {
    return {"{",        "}",
            "[",        "]",
            ",",        ":",
            "\"",       "\\u",
            "true",     "null",
            "false",    "1e9",
            "-0.0",     "\\ud800",
            "\"a\":",   "[[],[],[]],",
            "1.5,",     "0,",
            "{},",      "\"\"",
            "\xff\xfe", "\xe2\x80\xae",
            "\x1b[31m", "\n"};
}
