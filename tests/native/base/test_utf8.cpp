#include "base/utf8.h"
#include "check.h"

using namespace ltx2;

TEST(what_is_not_utf8_is_found) {
    for (const char * text : {"", "abc", "\xc2\x80", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
                              "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "12345678\xc3\xa9 12345678"})
        CHECK(utf8_error(text) == std::string_view::npos);
    for (const char * text :
         {"\x80", "\xc0\x80", "\xc1\xbf", "\xc3", "\xe0\x9f\xbf", "\xe2\x82", "\xed\xa0\x80",
          "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\xc3\x28"}) {
        CHECK(utf8_error(text) == 0);
        CHECK(utf8_error(std::string("0123456789") + text) == 10);
    }
}

TEST(shown_text_is_quoted_and_cut) {
    CHECK(shown("a\"\n\x01\xff") == "\"a\\\"\\n\\x01\\xff\"");
    CHECK(shown("abcdef", 3) == "\"abc\"...");
    CHECK(shown("ab\xe2\x82\xac", 3) == "\"ab\xe2\x82\xac\"");
}

TEST(what_would_not_show_as_itself_is_escaped) {
    CHECK(visible("gr\xc3\xbc\xc3\x9f \xe2\x96\x81 \xf0\x9f\x98\x80 \"\\") ==
          "gr\xc3\xbc\xc3\x9f \xe2\x96\x81 \xf0\x9f\x98\x80 \"\\");
    CHECK(visible(std::string("\x1b[31m\0\r\n\t\x7f", 10)) == "\\x1b[31m\\x00\\r\\n\\t\\x7f");
    CHECK(visible("\xc2\x9b"
                  "2J \xe2\x80\xae"
                  "cba \xef\xbb\xbf \xe2\x80\xa8 \xf3\xa0\x81\x81") ==
          "\\u009b2J \\u202ecba \\ufeff \\u2028 \\U000e0041");
    CHECK(visible("\xff\xc3") == "\\xff\\xc3");
    CHECK(visible("abcdef", 3) == "abc...");
    CHECK(visible(visible("\x1b\n")) == visible("\x1b\n"));
}

// Whatever name or path a message was made of.
TEST(words_of_errors_are_one_line_of_text) {
    const std::string name = "a\nb\x1b[2J\xff";
    CHECK_THROWS(fail(LTX2_STATUS_MODEL, "%s: is wrong", name.c_str()),
                 "a\\nb\\x1b[2J\\xff: is wrong");
    CHECK(Error(LTX2_STATUS_MODEL, std::string(1 << 20, 'a')).what() ==
          std::string(4096, 'a') + "...");
}

int main(int argc, char ** argv) { return run_tests(argc, argv); }
