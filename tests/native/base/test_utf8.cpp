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

int main(int argc, char ** argv) { return run_tests(argc, argv); }
