#include "check.h"
#include "files/json.h"

#include <chrono>
#include <limits>

using namespace ltx2;

static Json parse(const std::string & text) { return Json::parse(text, "t"); }

TEST(values_are_read) {
    const Json j = parse(" { \"a\" : [1, -2.5e1, true, false, null, \"x\"] , \"b\":{} }\r\n\t");
    const Json::Array a = j.find("a")->array("a");
    CHECK(a.size() == 6 && a[0].integer("i") == 1 && a[1].number("n") == -25.0);
    CHECK(a[2].boolean("b") && !a[3].boolean("b") && a[4].kind() == Json::Kind::null);
    CHECK(a[5].string("s") == "x" && j.find("b")->object("b").empty() && !j.find("c"));
    CHECK(a[0].number("n") == 1.0 && a[1].integer("i") == -25);
    CHECK(parse("9223372036854775807").integer("i") == INT64_MAX);
    CHECK(parse("-9223372036854775808").integer("i") == INT64_MIN);
    CHECK(parse("9007199254740993").integer("i") == 9007199254740993);
    CHECK(parse("9223372036854775808").number("n") == 9223372036854775808.0);
    CHECK(parse("0").integer("i") == 0 && parse("-0.5").number("n") == -0.5);
    CHECK(parse("[]").array("a").empty());
    CHECK_THROWS(parse("9223372036854775808").integer("t: i"), "t: i: ");
    CHECK_THROWS(parse("1.5").integer("i"), "1.5 is not an integer");
    CHECK_THROWS(parse("1.5").string("t: s"), "t: s: is a number, not a string");
    CHECK_THROWS(parse("\"1\"").number("n"), "is a string, not a number");
    CHECK_THROWS(parse("{}").array("n"), "is an object, not an array");
    CHECK_THROWS(parse("[]").object("n"), "is an array, not an object");
    CHECK_THROWS(parse("null").boolean("n"), "is null, not a boolean");
}

TEST(strings_are_read) {
    CHECK(parse(R"("\"\\\/\b\f\n\r\t")").string("s") == "\"\\/\b\f\n\r\t");
    CHECK(parse(R"("\u0041\u00e9\u20AC\ud83d\ude00")").string("s") ==
          "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
    CHECK(parse(R"("\u0000")").string("s") == std::string(1, '\0'));
    CHECK(parse("\"\xe2\x96\x81gr\xc3\xbc\xc3\x9f\"").string("s") ==
          "\xe2\x96\x81gr\xc3\xbc\xc3\x9f");
    CHECK_THROWS(parse(R"("\ud83d")"), "surrogate");
    CHECK_THROWS(parse(R"("\ud83dx")"), "surrogate");
    CHECK_THROWS(parse(R"("\ud83d\u0041")"), "surrogate");
    CHECK_THROWS(parse(R"("\ude00")"), "surrogate");
    CHECK_THROWS(parse(R"("\u12g4")"), "hexadecimal");
    CHECK_THROWS(parse(R"("\x")"), "unknown escape");
    CHECK_THROWS(parse("\"\\"), "escape");
    CHECK_THROWS(parse("\"a\nb\""), "control character in a string at byte 2");
    CHECK_THROWS(parse("\"a"), "without an end");
}

TEST(text_that_is_not_utf8_is_refused) {
    for (const char * text : {"\x80", "\xc0\x80", "\xe2\x82", "\xed\xa0\x80", "\xf5\x80\x80\x80"})
        CHECK_THROWS(parse(std::string("\"") + text + "\""), "not UTF-8 at byte 1");
}

TEST(wrong_syntax_is_refused) {
    const char * bad[] = {"",        " ",        "{",          "[",
                          "[1",      "[1,",      "[1,]",       "{,}",
                          "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{\"a\":1 \"b\":2}",
                          "{a:1}",   "tru",      "nul",        "falsy",
                          "+1",      "01",       "1.",         ".5",
                          "1e",      "1e+",      "-",          "--1",
                          "NaN",     "Infinity", "[1 2]",      "\xEF\xBB\xBF{}",
                          "{'a':1}", "// x\n1",  "]",          "}"};
    for (const char * text : bad) {
        CHECK_THROWS(parse(text), "t: ");
    }
    CHECK_THROWS(parse("1 2"), "something follows the value at byte 2");
    CHECK_THROWS(parse(std::string("1\0", 2)), "something follows the value at byte 1");
    CHECK_THROWS(parse("1e999"), "past double's range");
    CHECK_THROWS(parse("{\"a\":1,\"b\":2,\"a\":3}"), "\"a\" occurs twice");
    CHECK_THROWS(parse("{\"a\":1,\"\\u0061\":3}"), "\"a\" occurs twice");
}

TEST(depth_and_size_are_bounded) {
    const auto nested = [](size_t depth) {
        return std::string(depth, '[') + std::string(depth, ']');
    };
    CHECK(parse(nested(64)).array("a").size() == 1);
    CHECK_THROWS(parse(nested(65)), "nested too deep");
    CHECK_THROWS(parse(std::string(1 << 20, '[')), "nested too deep");
    std::string objects;
    for (int i = 0; i < 100000; ++i) {
        objects += "{\"a\":";
    }
    CHECK_THROWS(parse(objects), "nested too deep");
    std::string many = "[0";
    for (size_t i = 0; i < Json::max_values; ++i) {
        many += ",0";
    }
    CHECK_THROWS(parse(many + "]"), "too many values");
}

TEST(cut_anywhere_it_is_an_error) {
    const std::string whole = R"({"a":[1,-2.5e+3,"\u00e9\ud83d\ude00\n"],"b":{"c":true,"d":null}})";
    CHECK(parse(whole).object("o").size() == 2);
    for (size_t i = 0; i < whole.size(); ++i) {
        // A copy of its own, so that a sanitizer sees a read past the end.
        const std::vector<char> part(whole.begin(), whole.begin() + static_cast<long>(i));
        CHECK_THROWS(Json::parse({part.data(), part.size()}, "t"), "t: ");
    }
}

// As a tokenizer.json of Gemma's: 262144 entries and 514906 merges of two.
TEST(a_tokenizer_of_gemma_s_size_is_read) {
    std::string text = "{\"vocab\":{";
    for (int i = 0; i < 262144; ++i) {
        text += (i ? ",\n   \"" : "\n   \"") + std::string("\xe2\x96\x81token") +
                std::to_string(i) + "\": " + std::to_string(i);
    }
    text += "},\"merges\":[";
    for (int i = 0; i < 514906; ++i) {
        text += (i ? ",\n   [\n    \"a" : "\n   [\n    \"a") + std::to_string(i) +
                "\",\n    \"\xe2\x96\x81\"\n   ]";
    }
    text += "]}";
    const auto start = std::chrono::steady_clock::now();
    const Json j = parse(text);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    CHECK(j.find("vocab")->object("v").size() == 262144);
    CHECK(j.find("merges")->array("m")[514905].array("p")[0].string("s") == "a514905");
    std::printf("json: %.1f MB in %.2f s\n", static_cast<double>(text.size()) / 1e6, took.count());
}

TEST(values_can_be_set) {
    Json j;
    j.set("a", Json(1));
    j.set("b", Json("x"));
    j.set("a", Json(true));
    CHECK(j.object("o").size() == 2 && j.find("a")->boolean("a"));
    CHECK(Json("text").kind() == Json::Kind::string);
    CHECK_THROWS(Json(1.0).set("a", Json()), "not an object");
}

TEST(values_share_their_text_and_outlive_it) {
    Json inner;
    {
        const Json whole = parse(R"({"a": {"b": [1, "x"]}, "c": 2})");
        inner = *whole.find("a");
    }
    CHECK(inner.dump() == R"({"b": [1, "x"]})");
    Json changed = inner;
    changed.set("b", true);
    changed.set("d", Json::Array{1, 2.5, "y"});
    CHECK(changed.dump() == R"({"b": true, "d": [1, 2.5, "y"]})");
    CHECK(inner.dump() == R"({"b": [1, "x"]})" && inner.copy().dump() == inner.dump());
}

TEST(what_is_written_is_read_again) {
    const std::string text =
        R"({"a": [1, -2.5, 1e+300, true, null], "b": {}, "c": "\"\\\b\f\n\r\t/"})";
    CHECK(parse(text).dump() == text);
    CHECK(Json("\x01\x1f\x7f").dump() == "\"\\u0001\\u001f\x7f\"");
    CHECK(Json("gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80").dump() ==
          "\"gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80\"");
    CHECK(Json("a\xff\xc3").dump() == "\"a\xef\xbf\xbd\xef\xbf\xbd\"");
    CHECK(Json(std::string("a\0b", 3)).dump() == "\"a\\u0000b\"");
    CHECK(Json(INT64_MIN).dump() == "-9223372036854775808");
    CHECK(Json(0.1).dump() == "0.1" && Json(-0.0).dump() == "-0.0" && Json(8.0).dump() == "8.0");
    for (const double n : {1.0 / 3, 5e-324, 1.7976931348623157e308, 123456789012345680.0})
        CHECK(parse(Json(n).dump()).number("n") == n);
    CHECK(Json(std::numeric_limits<double>::quiet_NaN()).dump() == "null");
    CHECK(Json(std::numeric_limits<double>::infinity()).dump() == "null");
    CHECK(Json(Json::Array()).dump() == "[]" && Json().dump() == "null");
}

int main(int argc, char ** argv) { return run_tests(argc, argv); }
