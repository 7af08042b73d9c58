// ggml's abort() is an exception where one asks for it, also through ggml's C code.
#include "base/aborts.h"
#include "check.h"

#include "ggml.h"

#include <memory>
#include <string>
#include <thread>

using namespace ltx2;

template <class Body>
static std::string thrown(Body && body) {
    try {
        body();
    } catch (const Aborted & e) {
        return e.what();
    }
    return "";
}

TEST(an_abort_is_an_exception_while_one_lives) {
    const AbortsThrow outer;
    CHECK(thrown([] { GGML_ABORT("a defect"); }).find("a defect") != std::string::npos);
    {
        const AbortsThrow inner;
        CHECK(AbortsThrow::in_this_thread());
    }
    CHECK(AbortsThrow::in_this_thread());
    bool elsewhere = true;
    std::thread([&] { elsewhere = AbortsThrow::in_this_thread(); }).join();
    CHECK(!elsewhere);
}

TEST(it_passes_through_ggml_s_c_code) {
    std::unique_ptr<ggml_context, decltype(&ggml_free)> context(ggml_init({1 << 16, nullptr, true}),
                                                                ggml_free);
    ggml_tensor * x = ggml_new_tensor_1d(context.get(), GGML_TYPE_F32, 4);
    {
        const AbortsThrow aborts_throw;
        CHECK(!thrown([&] { ggml_reshape_1d(context.get(), x, 5); }).empty());
    }
    CHECK(!AbortsThrow::in_this_thread());
    CHECK(ggml_reshape_1d(context.get(), x, 4)->ne[0] == 4); // ggml is as it was
}

int main(int argc, char ** argv) { return run_tests(argc, argv); }
