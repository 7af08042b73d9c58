#include "files/json.h"
#include "fuzz.h"

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
