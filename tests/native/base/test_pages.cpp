#include "base/pages.h"

#include "check.h"

#include <cstring>

using namespace ltx2;

TEST(pages_can_be_written_and_are_counted_until_they_go) {
    const uint64_t before = pages_held();
    for (const size_t size : {size_t{1}, size_t{1} << 16, size_t{1} << 20, (size_t{5} << 20) + 7}) {
        const Pages pages = new_pages(size);
        CHECK(pages && reinterpret_cast<uintptr_t>(pages.get()) % pages_alignment == 0);
        std::memset(pages.get(), 1, size);
        CHECK(pages_held() == before + size);
    }
    CHECK(pages_held() == before);
}

TEST(what_cannot_be_had_is_null_and_not_counted) {
    const uint64_t before = pages_held();
    CHECK(!new_pages(size_t{1} << 60));
    CHECK(pages_held() == before);
}

int main(int argc, char ** argv) { return run_tests(argc, argv); }
